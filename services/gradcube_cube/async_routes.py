"""/gradcube/v1/queries: ask now, look how far it is, fetch the answer page by page, or end it. The owner's only;
an operator may end anybody's.
"""

from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import JSONResponse, StreamingResponse

from gradcube.cube.sandbox.request import Cancelled
from gradcube.errors import QueryError
from gradcube.security.roles import may_do
from gradcube_cube.access import asker_of, check_project
from gradcube_cube.bodies import question, read_object
from gradcube_cube.gateway import Gateway
from gradcube_cube.kept import Kept
from gradcube_cube.kylin_errors import KylinError
from gradcube_cube.rendering import accepted, headers, parts


def async_router(gateway: Gateway) -> APIRouter:
    """An id that is unknown, forgotten or somebody else's is 404, so that nobody learns of others' queries."""
    router = APIRouter()

    @router.post("/queries")
    async def submit(request: Request) -> Response:
        body = await read_object(request)
        check_project(gateway, request, body.get("project", gateway.settings.project))
        kept = await _ask(gateway, request, body)
        return JSONResponse(describe(gateway, kept), 202, {"Location": f"/gradcube/v1/queries/{kept.id}"})

    @router.get("/queries/{query_id}")
    def look(request: Request, query_id: str) -> dict[str, Any]:
        return describe(gateway, _find(gateway, request, query_id))

    @router.get("/queries/{query_id}/result")
    def fetch(
        request: Request,
        query_id: str,
        offset: int = Query(default=0, ge=0),
        limit: int | None = Query(default=None, ge=1),
    ) -> Response:
        kind = accepted(request.headers.get("Accept"))
        kept = _find(gateway, request, query_id)
        if not kept.future.done():
            raise KylinError(409, "The query has not ended.", {"Retry-After": "1"})
        answer = kept.future.result()  # raises what the query raised
        body = parts(answer, kind, offset, limit)
        return StreamingResponse(body, media_type=kind, headers=headers(answer, query_id))

    @router.delete("/queries/{query_id}")
    def end(request: Request, query_id: str) -> Response:
        kept = _find(gateway, request, query_id, others=may_do(asker_of(request).principal.role, "cancel_others"))
        gateway.desk.cancel(query_id)
        gateway.kept.forget(kept)
        return Response(status_code=204)

    return router


async def _ask(gateway: Gateway, request: Request, body: dict[str, Any]) -> Kept:
    asked = question(body, gateway.settings.async_limits)
    query_id, asker = uuid4().hex, asker_of(request)
    gateway.kept.reserve()
    try:
        future = await gateway.desk.submit(asker, asked, query_id)
    except BaseException:
        gateway.kept.give_back()
        raise
    return gateway.kept.add(query_id, asker.principal.name, future)


def _find(gateway: Gateway, request: Request, query_id: str, *, others: bool = False) -> Kept:
    kept = gateway.kept.find(query_id, None if others else asker_of(request).principal.name)
    if kept is None:
        raise KylinError(404, f"There is no query {query_id[:40]}; its answer may have been dropped.")
    return kept


def describe(gateway: Gateway, kept: Kept) -> dict[str, Any]:
    """`state` is waiting, running, done, failed or cancelled; `percent` is the engine's estimate, or null."""
    if not kept.future.done():
        now = gateway.desk.progress(kept.id)
        return {"id": kept.id, "state": now.state, "percent": now.percent, "rows": now.rows}
    if kept.error is not None:
        return {"id": kept.id, "state": "cancelled" if isinstance(kept.error, Cancelled) else "failed"} | {
            "percent": None, "rows": 0, **_told(kept.error)
        }  # fmt: skip
    result = kept.future.result().result
    done = {"id": kept.id, "state": "done", "percent": 100.0, "rows": result.rows}
    return done | {"partial": result.partial, "seconds": round(result.seconds, 6)}


def _told(error: BaseException) -> dict[str, Any]:
    if isinstance(error, QueryError):
        return {"error": str(error), "position": error.position, "hint": error.hint}
    return {"error": "Internal error; the gateway's log says more.", "position": None, "hint": None}
