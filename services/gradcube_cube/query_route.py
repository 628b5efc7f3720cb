"""POST /kylin/api/query: Kylin's request in, Kylin's answer out."""

from typing import Any
from uuid import uuid4

import orjson
from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from gradcube.cube.guard import SCHEMA
from gradcube.cube.model import Catalog
from gradcube.cube.questions import Answer, OutputColumn
from gradcube_cube.access import asker_of, check_project
from gradcube_cube.bodies import kylin_question, read_object
from gradcube_cube.descriptions import cube_name
from gradcube_cube.gateway import Gateway


def query_router(gateway: Gateway) -> APIRouter:
    """Kylin's one route that runs SQL."""
    router = APIRouter()

    @router.post("/query")
    async def query(request: Request) -> Response:
        body = await read_object(request)
        check_project(gateway, request, body.get("project"))
        question = kylin_question(body, gateway.settings.kylin_limits)
        answer = await gateway.desk.ask(request, asker_of(request), question, uuid4().hex)
        return Response(await run_in_threadpool(render, answer, gateway.catalog), media_type="application/json")

    return router


def render(answer: Answer, catalog: Catalog) -> bytes:
    """The answer as Kylin's JSON."""
    read = sorted({relation.partition("__")[0] for relation in answer.relations})
    return orjson.dumps(
        {
            "columnMetas": [_meta(column, catalog) for column in answer.columns],
            "results": answer.rows,
            "cube": ",".join(f"CUBE[name={cube_name(catalog.cubes[name])}]" for name in read),
            "affectedRowCount": 0,
            "isException": False,
            "exceptionMessage": None,
            "duration": round(answer.result.seconds * 1000),
            "totalScanCount": 0,
            "totalScanBytes": 0,
            "hitExceptionCache": False,
            "storageCacheUsed": False,
            "traceUrl": None,
            "partial": answer.partial,
            "pushDown": False,
        }
    )


def _meta(column: OutputColumn, catalog: Catalog) -> dict[str, Any]:
    cube = catalog.cubes[column.source[0]] if column.source else None
    declared = cube.column(column.source[1]) if cube and column.source else None
    kind = declared.type if declared else column.type
    return {
        "isNullable": 1,
        "displaySize": kind.display_size,
        "label": column.name,
        "name": column.name,
        "schemaName": SCHEMA if declared else None,
        "catelogName": None,
        "tableName": cube.name if cube and declared else None,
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
