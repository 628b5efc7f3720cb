"""A request's body in, checked: an object of bounded size, and the question in it."""

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import Request

from gradcube.cube.questions import Limits, Question
from gradcube_cube.kylin_errors import KylinError

MAX_BODY_BYTES = 1 << 20
_CLASSES = {bool: "java.lang.Boolean", int: "java.lang.Long", float: "java.lang.Double", str: "java.lang.String"}


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


def kylin_question(body: Mapping[str, Any], limits: Limits) -> Question:
    """Of Kylin's request: `limit`, `offset`, JDBC's `params` and its most rows. Raises KylinError 400."""
    toggles = body.get("backdoorToggles")
    asked = toggles.get("ATTR_STATEMENT_MAX_ROWS") if isinstance(toggles, dict) else None
    limit = whole(asked, "ATTR_STATEMENT_MAX_ROWS") or whole(body.get("limit"), "limit")
    parameters = body.get("params") or []
    if not isinstance(parameters, list) or not all(isinstance(one, dict) for one in parameters):
        raise KylinError(400, "params must be a list of {className, value}.")
    return Question(_sql(body), limit, max(0, whole(body.get("offset"), "offset")), parameters, limits)


def question(body: Mapping[str, Any], limits: Limits) -> Question:
    """Of our own request: `parameters` are plain JSON values, or JDBC's objects. Raises KylinError 400."""
    limit, offset = whole(body.get("limit"), "limit"), whole(body.get("offset"), "offset")
    if limit < 0 or offset < 0:
        raise KylinError(400, f"limit is {limit}, offset {offset}; both are 0 or more.")
    parameters = body.get("parameters") or []
    if not isinstance(parameters, list):
        raise KylinError(400, "parameters must be a list of values.")
    return Question(_sql(body), limit, offset, [_parameter(one) for one in parameters], limits)


def whole(value: Any, name: str) -> int:
    """A whole number, 0 where there is none. Raises KylinError 400."""
    try:
        return int(value or 0)
    except (TypeError, ValueError, OverflowError) as error:
        raise KylinError(400, f"{name} is {value!r:.40}; it must be a whole number.") from error


def _sql(body: Mapping[str, Any]) -> str:
    sql = body.get("sql")
    if not isinstance(sql, str) or not sql.strip():
        raise KylinError(400, "SQL should not be empty.")
    return sql


def _parameter(value: Any) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    if value is not None and type(value) not in _CLASSES:
        raise KylinError(400, f"parameter {value!r:.40} is no text, number, boolean or null.")
    return {"className": _CLASSES.get(type(value), "java.lang.String"), "value": value}
