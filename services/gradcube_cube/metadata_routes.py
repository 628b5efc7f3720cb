"""What clients ask before they query: who am I, projects, tables, cubes, models, jobs. All read-only."""

from typing import Any

from fastapi import APIRouter

from gradcube_cube import descriptions
from gradcube_cube.access import check_project
from gradcube_cube.gateway import Gateway
from gradcube_cube.kylin_errors import KylinError

Listing = list[dict[str, Any]]


def metadata_router(gateway: Gateway) -> APIRouter:
    """Kylin's v1 paths, answered for the one project and the one cube."""
    router = APIRouter()
    model, project = gateway.model, gateway.settings.project

    @router.api_route("/user/authentication", methods=["GET", "POST"])
    def authenticated() -> dict[str, Any]:
        authorities = [{"authority": name} for name in ("ROLE_ADMIN", "ROLE_ANALYST", "ALL_USERS")]
        return {"userDetails": {"username": gateway.settings.user, "authorities": authorities, "disabled": False}}

    @router.get("/projects")
    def projects() -> Listing:
        return [descriptions.project(project, model)]

    @router.get("/tables_and_columns")
    def tables_and_columns(project: str) -> Listing:
        check_project(gateway, project)
        return descriptions.tables_and_columns(model)

    @router.get("/tables")
    def tables(project: str) -> Listing:
        check_project(gateway, project)
        return [descriptions.table(model)]

    _add_cubes(router, gateway)
    return router


def _add_cubes(router: APIRouter, gateway: Gateway) -> None:
    model, project = gateway.model, gateway.settings.project

    @router.get("/cubes")
    def cubes(projectName: str | None = None, cubeName: str | None = None) -> Listing:  # noqa: N803 - Kylin's names
        if projectName is not None:
            check_project(gateway, projectName)
        cube = descriptions.cube(model, project)
        return [cube] if cubeName is None or cubeName.lower() in cube["name"] else []

    @router.get("/cube_desc/{name}/desc")
    def cube_description(name: str) -> dict[str, Any]:
        if name != descriptions.cube_name(model):
            raise KylinError(404, f"Cube {name[:100]} not found.")
        return descriptions.cube_description(model)

    @router.get("/models")
    def models(projectName: str | None = None) -> Listing:  # noqa: N803 - Kylin's name
        if projectName is not None:
            check_project(gateway, projectName)
        return [descriptions.model_description(model)]

    @router.get("/jobs")
    def jobs() -> Listing:
        return []  # nothing is ever built: facts are there when they are committed
