"""The gateway as one web application: Kylin's API behind a password, health beside it."""

from fastapi import APIRouter, Depends, FastAPI

from gradcube_cube.access import authentication
from gradcube_cube.gateway import Gateway
from gradcube_cube.health_routes import health_router
from gradcube_cube.kylin_errors import install_error_handlers
from gradcube_cube.metadata_routes import metadata_router
from gradcube_cube.query_route import query_router


def build_app(gateway: Gateway) -> FastAPI:
    """The routes over an open gateway, which the caller closes."""
    app = FastAPI(title="gradcube cube gateway", docs_url=None, redoc_url=None, openapi_url=None)
    kylin = APIRouter(prefix="/kylin/api", dependencies=[Depends(authentication(gateway))])
    kylin.include_router(query_router(gateway))
    kylin.include_router(metadata_router(gateway))
    app.include_router(kylin)
    app.include_router(health_router(gateway))
    install_error_handlers(app)
    return app
