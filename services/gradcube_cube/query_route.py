"""POST /query: Kylin's request in, Kylin's answer out."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from gradcube.cube.answers import Answer, OutputColumn
from gradcube.cube.guard import SCHEMA
from gradcube.cube.model import CubeModel
from gradcube_cube.access import check_project
from gradcube_cube.gateway import Gateway
from gradcube_cube.kylin_errors import KylinError

MAX_BODY_BYTES = 1 << 20


def query_router(gateway: Gateway) -> APIRouter:
    """The one route that runs SQL."""
    router = APIRouter()

    @router.post("/query")
    async def query(request: Request) -> Response:
        body = await read_object(request)
        check_project(gateway, body.get("project"))
        sql = body.get("sql")
        if not isinstance(sql, str) or not sql.strip():
            raise KylinError(400, "SQL should not be empty.")
        offset = max(0, _integer(body.get("offset"), "offset"))
        future = gateway.answerer.submit(sql, limit=_limit(body), offset=offset, parameters=_parameters(body))
        answer = await asyncio.wrap_future(future)
        return Response(await run_in_threadpool(render, answer, gateway.model), media_type="application/json")

    return router


async def read_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object of at most MAX_BODY_BYTES; KylinError 413 or 400 otherwise."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise KylinError(413, f"The request is larger than {MAX_BODY_BYTES} bytes.")
    try:
        content = orjson.loads(bytes(body) or b"{}")
    except orjson.JSONDecodeError as error:
        raise KylinError(400, f"The request is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise KylinError(400, "The request must be a JSON object.")
    return content


def render(answer: Answer, model: CubeModel) -> bytes:
    """The answer as Kylin's JSON."""
    return orjson.dumps(
        {
            "columnMetas": [_meta(column, model) for column in answer.columns],
            "results": answer.rows,
            "cube": f"CUBE[name={model.name.lower()}_cube]",
            "affectedRowCount": 0,
            "isException": False,
            "exceptionMessage": None,
            "duration": round(answer.seconds * 1000),
            "totalScanCount": 0,
            "totalScanBytes": 0,
            "hitExceptionCache": False,
            "storageCacheUsed": False,
            "traceUrl": None,
            "partial": answer.partial,
            "pushDown": False,
        }
    )


def _meta(column: OutputColumn, model: CubeModel) -> dict[str, Any]:
    declared = model.column(column.source) if column.source else None
    kind = declared.type if declared else column.type
    return {
        "isNullable": 1,
        "displaySize": kind.display_size,
        "label": column.name,
        "name": column.name,
        "schemaName": SCHEMA if declared else None,
        "catelogName": None,
        "tableName": model.name if declared else None,
        "precision": kind.precision,
        "scale": kind.scale,
        "columnType": kind.jdbc_code,
        "columnTypeName": kind.name,
        "signed": True,
        "caseSensitive": True,
        "writable": False,
        "autoIncrement": False,
        "searchable": False,
        "currency": False,
        "definitelyWritable": False,
        "readOnly": True,
    }


def _integer(value: Any, name: str) -> int:
    try:
        return int(value or 0)
    except (TypeError, ValueError, OverflowError) as error:
        raise KylinError(400, f"{name} is {value!r:.40}; it must be a whole number.") from error


def _limit(body: Mapping[str, Any]) -> int:
    toggles = body.get("backdoorToggles")
    asked = toggles.get("ATTR_STATEMENT_MAX_ROWS") if isinstance(toggles, dict) else None
    return _integer(asked, "ATTR_STATEMENT_MAX_ROWS") or _integer(body.get("limit"), "limit")


def _parameters(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    parameters = body.get("params") or []
    if not isinstance(parameters, list) or not all(isinstance(one, dict) for one in parameters):
        raise KylinError(400, "params must be a list of {className, value}.")
    return parameters
