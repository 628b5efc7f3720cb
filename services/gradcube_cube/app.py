"""The gateway as one web application: Kylin's API and our own behind a password, health beside them."""

from fastapi import APIRouter, Depends, FastAPI

from gradcube_cube.access import authentication
from gradcube_cube.async_routes import async_router
from gradcube_cube.gateway import Gateway
from gradcube_cube.health_routes import health_router
from gradcube_cube.kylin_errors import install_error_handlers
from gradcube_cube.metadata_routes import metadata_router
from gradcube_cube.query_route import query_router
from gradcube_cube.stream_routes import stream_router


def build_app(gateway: Gateway) -> FastAPI:
    """The routes over an open gateway, which the caller closes."""
    app = FastAPI(title="gradcube cube gateway", docs_url=None, redoc_url=None, openapi_url=None)
    guarded = [Depends(authentication(gateway))]
    kylin = APIRouter(prefix="/kylin/api", dependencies=guarded)
    kylin.include_router(query_router(gateway))
    kylin.include_router(metadata_router(gateway))
    own = APIRouter(prefix="/gradcube/v1", dependencies=guarded)
    own.include_router(stream_router(gateway))
    own.include_router(async_router(gateway))
    app.include_router(kylin)
    app.include_router(own)
    app.include_router(health_router(gateway))
    install_error_handlers(app)
    return app
