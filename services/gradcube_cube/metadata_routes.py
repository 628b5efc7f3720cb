"""What clients ask before they query: who am I, projects, tables, cubes, models, jobs. All read-only."""

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request

from gradcube_cube import descriptions
from gradcube_cube.access import asker_of, check_project
from gradcube_cube.descriptions import Table
from gradcube_cube.gateway import Gateway
from gradcube_cube.kylin_errors import KylinError

Listing = list[dict[str, Any]]


def metadata_router(gateway: Gateway) -> APIRouter:
    """Kylin's v1 paths, answered for the one project and every cube and view of the catalog."""
    router = APIRouter()

    @router.api_route("/user/authentication", methods=["GET", "POST"])
    def authenticated(request: Request) -> dict[str, Any]:
        asker = asker_of(request)
        authorities = [{"authority": name} for name in asker.authorities]
        return {"userDetails": {"username": asker.principal.name, "authorities": authorities, "disabled": False}}

    @router.get("/projects")
    def projects(request: Request) -> Listing:
        name = gateway.settings.project
        return [descriptions.project(name, gateway.catalog)] if asker_of(request).principal.may_enter(name) else []

    @router.get("/tables_and_columns")
    def tables_and_columns(request: Request, project: str) -> Listing:
        check_project(gateway, request, project)
        return descriptions.tables_and_columns(_tables(gateway))

    @router.get("/tables")
    def tables(request: Request, project: str) -> Listing:
        check_project(gateway, request, project)
        return [descriptions.table(one) for one in _tables(gateway)]

    _add_cubes(router, gateway)
    return router


def _tables(gateway: Gateway) -> Iterator[Table]:
    for model in gateway.catalog.cubes.values():
        yield Table(model.name, model.columns)
    for name in gateway.catalog.views:
        yield Table(name, gateway.views.of(name), is_view=True)


def _add_cubes(router: APIRouter, gateway: Gateway) -> None:
    models, project = gateway.catalog.cubes.values(), gateway.settings.project

    @router.get("/cubes")
    def cubes(
        request: Request,
        projectName: str | None = None,  # noqa: N803 - Kylin's names
        cubeName: str | None = None,  # noqa: N803
    ) -> Listing:
        if projectName is not None:
            check_project(gateway, request, projectName)
        found = [descriptions.cube(model, project) for model in models]
        return [cube for cube in found if cubeName is None or cubeName.lower() in cube["name"]]

    @router.get("/cube_desc/{name}/desc")
    def cube_description(name: str) -> dict[str, Any]:
        for model in models:
            if name == descriptions.cube_name(model):
                return descriptions.cube_description(model)
        raise KylinError(404, f"Cube {name[:100]} not found.")

    @router.get("/models")
    def model_descriptions(request: Request, projectName: str | None = None) -> Listing:  # noqa: N803 - Kylin's name
        if projectName is not None:
            check_project(gateway, request, projectName)
        return [descriptions.model_description(model) for model in models]

    @router.get("/jobs")
    def jobs() -> Listing:
        return []  # nothing is ever built: rows are there when they are committed
