"""Four roles, each of which may what those before it may, and the one table of who may call what.

What is not in the table is refused to everybody: a new route answers nobody until it has its line here.
"""

import re
from collections.abc import Iterator
from enum import IntEnum
from functools import lru_cache
from typing import Any

from gradcube.errors import Forbidden


class Role(IntEnum):
    """Ordered by what they may."""

    viewer = 1
    """Sees which tables, columns and cubes there are, and asks nothing."""
    analyst = 2
    """Asks SQL about the jobs granted to him."""
    operator = 3
    """Also reads cubes without jobs, and ends the queries of others."""
    admin = 4
    """Also reads the audit chain and edits users, by the gradcube command on the gateway's machine."""


OPEN = None
"""Without a password: counts and reasons, but no data."""

ROUTES: dict[tuple[str, str], Role | None] = {
    ("GET", "/live"): OPEN,
    ("GET", "/ready"): OPEN,
    ("GET", "/status"): OPEN,
    ("GET", "/metrics"): OPEN,
    ("GET", "/kylin/api/user/authentication"): Role.viewer,
    ("POST", "/kylin/api/user/authentication"): Role.viewer,
    ("GET", "/kylin/api/projects"): Role.viewer,
    ("GET", "/kylin/api/tables_and_columns"): Role.viewer,
    ("GET", "/kylin/api/tables"): Role.viewer,
    ("GET", "/kylin/api/cubes"): Role.viewer,
    ("GET", "/kylin/api/cube_desc/{name}/desc"): Role.viewer,
    ("GET", "/kylin/api/models"): Role.viewer,
    ("GET", "/kylin/api/jobs"): Role.viewer,
    ("POST", "/kylin/api/query"): Role.analyst,
    ("POST", "/gradcube/v1/query"): Role.analyst,
    ("POST", "/gradcube/v1/queries"): Role.analyst,
    ("GET", "/gradcube/v1/queries/{query_id}"): Role.analyst,
    ("GET", "/gradcube/v1/queries/{query_id}/result"): Role.analyst,
    ("DELETE", "/gradcube/v1/queries/{query_id}"): Role.analyst,
}
"""Method and path template to the least role, as `gradcube_cube.app` has them."""

ACTIONS: dict[str, Role] = {"query": Role.analyst, "cancel_others": Role.operator}
"""What a route does only for some: the gateway asks `may_do` there."""


def check_route(role: Role | None, method: str, path: str) -> None:
    """Raises Forbidden unless the role (None: nobody has logged in) may call the path of a request.

    Where more than one template fits, the strictest counts, so it does not matter which of them a router takes.
    """
    least = _fitting(method, path)
    if not least or (OPEN not in least and role is None):
        raise Forbidden(f"{method} {path[:100]} is not open to anybody without a role")
    needed = max((one for one in least if one is not None), default=None)
    if needed is not None and (role is None or role < needed):
        raise Forbidden(f"{method} {path[:100]} needs the role {needed.name}")


def may_do(role: Role, action: str) -> bool:
    """Whether the role may; what is not in ACTIONS nobody may."""
    least = ACTIONS.get(action)
    return least is not None and role >= least


def is_open(method: str, path: str) -> bool:
    """Whether the path of a request is answered without a password."""
    least = _fitting(method, path)
    return bool(least) and all(one is OPEN for one in least)


def routes(app: Any) -> Iterator[tuple[str, str]]:
    """Every (method, path template) of a FastAPI or Starlette application, mounted and included ones too."""
    yield from _walk(app.routes, "")


def unlisted(app: Any) -> list[tuple[str, str]]:
    """The routes that have no line in ROUTES, and that nobody can call therefore."""
    return sorted(set(routes(app)) - set(ROUTES))


def _walk(found: Any, prefix: str) -> Iterator[tuple[str, str]]:
    for route in found:
        if candidates := getattr(route, "effective_candidates", None):  # a router included, since FastAPI 0.13x
            yield from _walk(candidates(), prefix)
        elif (inner := getattr(route, "routes", None)) is not None:  # a mounted application
            yield from _walk(inner, prefix + route.path)
        else:
            # A route without methods (a web socket, a mounted folder) takes any: it cannot be in the table.
            yield from ((method, prefix + route.path) for method in sorted(getattr(route, "methods", None) or {"ANY"}))


def _fitting(method: str, path: str) -> list[Role | None]:
    return [role for (verb, template), role in ROUTES.items() if verb == method and _form(template).fullmatch(path)]


@lru_cache(maxsize=1024)
def _form(template: str) -> re.Pattern[str]:
    parts = re.split(r"(\{[^}]*\})", template)
    places = (
        ("." if part.endswith(":path}") else "[^/]") + "+" if part[:1] == "{" else re.escape(part) for part in parts
    )
    return re.compile("".join(places), re.DOTALL)
