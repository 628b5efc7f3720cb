"""POST /gradcube/v1/query: one SELECT in; Arrow, CSV or JSON out, as the Accept header says."""

from uuid import uuid4

from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from gradcube_cube.access import asker_of, check_project
from gradcube_cube.bodies import question, read_object
from gradcube_cube.gateway import Gateway
from gradcube_cube.rendering import accepted, headers, parts


def stream_router(gateway: Gateway) -> APIRouter:
    """A part is made when the one before it is on its way: a slow reader holds up nothing but its own answer."""
    router = APIRouter()

    @router.post("/query")
    async def query(request: Request) -> Response:
        kind = accepted(request.headers.get("Accept"))
        body = await read_object(request)
        check_project(gateway, request, body.get("project", gateway.settings.project))
        query_id = uuid4().hex
        asked = question(body, gateway.settings.stream_limits)
        answer = await gateway.desk.ask(request, asker_of(request), asked, query_id)
        return StreamingResponse(parts(answer, kind), media_type=kind, headers=headers(answer, query_id))

    return router
