"""Health, readiness and metrics over HTTP for processes that have no web server of their own.

GET /live is 200 while the process answers and its own check, if it has one, says that it works; 503 asks for a restart.
GET /ready is 200 or 503 with the checks as JSON. GET /metrics is Prometheus text. GET /status is the process's own
counters as JSON.
"""

import json
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, Self

from prometheus_client import CollectorRegistry, generate_latest

from gradcube.errors import ConfigError

JSON = "application/json"


class HealthServer:
    """Serves health from a daemon thread.

    `checks` gives each readiness check as name -> bool, `status` the counters, `live` whether the process still does
    its work, which only a restart would mend; all are called per request.
    Raises ConfigError when the port is taken. `with HealthServer(...) as health: health.port`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        checks: Callable[[], Mapping[str, bool]],
        status: Callable[[], Mapping[str, Any]],
        registry: CollectorRegistry,
        live: Callable[[], bool] = lambda: True,
    ) -> None:
        routes: dict[str, Callable[[], tuple[int, str, bytes]]] = {
            "/live": lambda: _live(live()),
            "/ready": lambda: _ready(checks()),
            "/status": lambda: (200, JSON, json.dumps(dict(status())).encode()),
            "/metrics": lambda: (200, "text/plain; version=0.0.4", generate_latest(registry)),
        }
        try:
            self._server = ThreadingHTTPServer((host, port), _handler(routes))
        except OSError as error:
            reason = f"health port {host}:{port} cannot be opened: {error.strerror}; set another port"
            raise ConfigError(reason) from error
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def port(self) -> int:
        """The port that is served, also when 0 was asked for."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _live(live: bool) -> tuple[int, str, bytes]:
    return (200 if live else 503, JSON, json.dumps({"live": live}).encode())


def _ready(checks: Mapping[str, bool]) -> tuple[int, str, bytes]:
    ready = all(checks.values())
    return (200 if ready else 503, JSON, json.dumps({"ready": ready, "checks": dict(checks)}).encode())


def _handler(routes: Mapping[str, Callable[[], tuple[int, str, bytes]]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            route = routes.get(self.path)
            status, kind, body = route() if route else (404, JSON, b'{"error": "no such path"}')
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Health checks are not news."""

    return Handler
