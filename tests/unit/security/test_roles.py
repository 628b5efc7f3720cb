from unittest.mock import MagicMock

import pytest
from fastapi import APIRouter, FastAPI

from gradcube.cube.model import load_catalog
from gradcube.errors import Forbidden
from gradcube.security.roles import ACTIONS, OPEN, ROUTES, Role, check_route, is_open, may_do, routes, unlisted
from gradcube_cube.app import build_app
from gradcube_cube.settings import CubeSettings


def gateway_app() -> FastAPI:
    """Only its routes are looked at: nothing behind them is opened."""
    return build_app(MagicMock(settings=CubeSettings(), catalog=load_catalog()))


def may(role: Role | None, method: str, path: str) -> bool:
    try:
        check_route(role, method, path)
    except Forbidden:
        return False
    return True


def test_every_route_of_the_gateway_has_its_line() -> None:
    assert unlisted(gateway_app()) == [], "give each new route its least role in gradcube/security/roles.py"


def test_every_route_answers_every_role_as_the_table_says() -> None:
    walked = list(routes(gateway_app()))
    assert len(walked) > 10
    for method, template in walked:
        least = ROUTES[method, template]
        path = template.replace("{name}", "facts_cube").replace("{query_id}", "f00")
        assert is_open(method, path) == (least is OPEN)
        for role in (None, *Role):
            assert may(role, method, path) == (least is OPEN or (role is not None and role >= least)), (role, path)


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/kylin/api/cubes"), ("GET", "/kylin/api/query"), ("GET", "/kylin/api/users"), ("GET", "/"),
     ("GET", "/live/"), ("GET", "//live"), ("GET", "/kylin/api/cube_desc/a/b/desc"), ("get", "/live"),
     ("HEAD", "/live"), ("GET", "/live\n"), ("GET", "/kylin/api/cube_desc//desc")],
)  # fmt: skip
def test_what_is_not_in_the_table_is_refused_to_everybody(method: str, path: str) -> None:
    assert not any(may(role, method, path) for role in (None, *Role))
    assert not is_open(method, path)


def test_a_new_route_is_found_wherever_it_hides() -> None:
    app, inner, mounted = gateway_app(), APIRouter(prefix="/deep"), FastAPI(openapi_url=None)
    inner.get("/new")(lambda: None)
    outer = APIRouter(prefix="/outer")
    outer.include_router(inner)
    app.include_router(outer)
    mounted.post("/upload", include_in_schema=False)(lambda: None)
    app.mount("/files", mounted)
    found = unlisted(app)
    assert ("GET", "/outer/deep/new") in found
    assert any(path == "/files/upload" for _, path in found)
    app.websocket("/live")(lambda socket: None)
    assert ("ANY", "/live") in unlisted(app)


def test_the_strictest_of_two_lines_that_fit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ROUTES, ("GET", "/kylin/api/cube_desc/secret/desc"), Role.admin)
    assert not may(Role.operator, "GET", "/kylin/api/cube_desc/secret/desc")
    assert may(Role.viewer, "GET", "/kylin/api/cube_desc/other/desc")


def test_an_action_that_is_not_in_the_table_nobody_may() -> None:
    assert not any(may_do(role, "drop_everything") for role in Role)
    for action, least in ACTIONS.items():
        assert [role for role in Role if may_do(role, action)] == [role for role in Role if role >= least]
