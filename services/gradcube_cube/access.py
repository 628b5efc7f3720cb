"""Where a request becomes somebody: HTTP Basic on every path that tells data, and the one project."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import Request

from gradcube.cube.asking import SeesAll, Sight
from gradcube_cube.kylin_errors import KylinError

if TYPE_CHECKING:
    from gradcube_cube.gateway import Gateway


@dataclass(frozen=True)
class Asker:
    """Who asks, what he sees, and what he is in Kylin's words."""

    name: str
    sight: Sight
    authorities: tuple[str, ...]


def authentication(gateway: "Gateway") -> Callable[[Request], None]:
    """A dependency that raises 401 unless the request carries the user and the password."""

    async def authenticate(request: Request) -> None:
        if not gateway.credentials.accept(request.headers.get("Authorization")):
            challenge = {"WWW-Authenticate": 'Basic realm="gradcube", charset="UTF-8"'}
            raise KylinError(401, "Wrong user name or password.", challenge)
        authorities = ("ROLE_ADMIN", "ROLE_ANALYST", "ALL_USERS")
        request.state.asker = Asker(gateway.settings.user, SeesAll(), authorities)

    return authenticate  # type: ignore[return-value]


def asker_of(request: Request) -> Asker:
    """Who was let in."""
    asker: Asker = request.state.asker
    return asker


def check_project(gateway: "Gateway", name: object) -> None:
    """Raises 400 in Kylin's words for a project that isn't ours."""
    if not isinstance(name, str) or name.upper() != gateway.settings.project.upper():
        raise KylinError(400, f"Cannot find project '{str(name)[:100]}'.")
