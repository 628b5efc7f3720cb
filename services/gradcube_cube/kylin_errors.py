"""Every error as Kylin's JSON body: code, data, msg, exception, url, and never a stack trace.

Our own clients also read `position` (1-based, in the statement) and `hint`; Kylin's skip what they do not know.
"""

import math
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from gradcube.cube.sandbox.request import Busy, EngineMissing
from gradcube.errors import AccessError, AuditError, ConfigError, NotAuthenticated, QueryError, TooMany

_log = structlog.get_logger(__name__)


class KylinError(Exception):
    """An answer other than 200, in Kylin's words."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers


def install_error_handlers(app: FastAPI) -> None:
    """Maps our errors, the framework's and whatever else to Kylin's statuses."""
    app.add_exception_handler(KylinError, _kylin)
    app.add_exception_handler(QueryError, _query)
    app.add_exception_handler(AccessError, _access)
    app.add_exception_handler(AuditError, _unavailable)
    app.add_exception_handler(ConfigError, _unavailable)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def _body(request: Request, status: int, message: str, headers: Any = None, **more: Any) -> JSONResponse:
    url = str(request.url.replace(query="", username=None, password=None))
    content = {"code": "999", "data": None, "msg": message, "stacktrace": None, "exception": message, "url": url}
    return JSONResponse(content | more, status, headers=headers)


async def _kylin(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, KylinError)
    return _body(request, error.status, str(error), error.headers)


async def _query(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, QueryError)
    position = "" if error.position is None else f" (at character {error.position})"
    busy = isinstance(error, Busy | EngineMissing)
    headers = {"Retry-After": "1"} if busy else None
    more = {"position": error.position, "hint": error.hint}
    return _body(request, 503 if busy else 500, f"{error}{position}", headers, **more)


async def _access(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, NotAuthenticated):
        return _body(request, 401, str(error), {"WWW-Authenticate": 'Basic realm="gradcube", charset="UTF-8"'})
    if isinstance(error, TooMany):
        return _body(request, 429, str(error), {"Retry-After": str(math.ceil(error.retry_after_seconds))})
    return _body(request, 403, str(error))


async def _unavailable(request: Request, error: Exception) -> JSONResponse:
    """The users file cannot be read, or the audit chain not written: the log says which, a client need not know."""
    _log.error("request_refused", path=request.url.path, reason=str(error))
    return _body(request, 503, "The gateway cannot answer now; its log says why.", {"Retry-After": "5"})


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _body(request, error.status_code, str(error.detail), error.headers)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    _log.error("request_failed", path=request.url.path, error=type(error).__name__)
    return _body(request, 500, "Internal error; the gateway's log says more.")
