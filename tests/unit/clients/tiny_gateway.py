"""A server on a free port of this machine that answers what a test tells it to, and keeps what it was asked."""

import json
import ssl
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pyarrow as pa

Answer = tuple[int, str, bytes]
"""Status, content type, body."""


class TinyGateway:
    """`answers` maps a path to what it answers to a request's body; a path without one is 404."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.answers: dict[str, Callable[[dict[str, Any]], Answer]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._scheme = "http" if certificate is None else "https"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{self._scheme}://ADMIN:secret@127.0.0.1:{self._server.server_port}/gradcube"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                content = json.loads(body or b"{}")
                path = self.path.partition("?")[0]
                gateway.asked.append((path, content))
                status, kind, answer = gateway.answers.get(path, _absent)(content)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                with suppress(OSError):  # a client that did not wait
                    self.wfile.write(answer)

            do_GET = do_POST  # noqa: N815 - the base class calls it so

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        return Handler


def _absent(_: dict[str, Any]) -> Answer:
    return 404, "text/html", b"<html>Not Found</html>"


def kylin(columns: dict[str, str], rows: list[list[Any]], **more: Any) -> Answer:
    """An answer of Kylin's: names and types of the columns, cells as texts."""
    metas = [{"label": name, "name": name, "columnTypeName": kind} for name, kind in columns.items()]
    body = {"columnMetas": metas, "results": rows, "isException": False, "exceptionMessage": None, "partial": False}
    return 200, "application/json", json.dumps(body | more).encode()


def refusal(status: int, message: str | None, **more: Any) -> Answer:
    body = {"code": "999", "msg": message, "exception": message, "stacktrace": None, **more}
    return status, "application/json", json.dumps(body).encode()


def arrow(table: pa.Table) -> Answer:
    """The gateway's own answer."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return 200, "application/vnd.apache.arrow.stream", sink.getvalue().to_pybytes()


def tables() -> Answer:
    columns = [
        ("JOB", 'VARCHAR(256) CHARACTER SET "UTF-16LE"'), ("TS", "TIMESTAMP(0)"), ("METRIC_VALUE", "DOUBLE"),
        ("COST", "DECIMAL(19, 4)"),
    ]  # fmt: skip
    described = [
        {"column_NAME": name, "type_NAME": kind, "ordinal_POSITION": place}
        for place, (name, kind) in enumerate(columns)
    ]
    facts = {"table_SCHEM": "DEFAULT", "table_NAME": "FACTS", "table_TYPE": "TABLE", "columns": described[::-1]}
    view = facts | {"table_NAME": "SLOWEST", "table_TYPE": "VIEW"}
    return 200, "application/json", json.dumps([facts, view]).encode()
