"""Answers that a Kylin 3.1.3 gave, from a small server in its place."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from gradcube.kylin.rest import (
    KylinAbsent,
    KylinConflict,
    KylinDenied,
    KylinError,
    KylinMissing,
    KylinRefused,
    KylinRest,
)
from gradcube.ports import free_port

HTML = b"<html><body>Error 401</body></html>"


@contextmanager
def answering(*answers: tuple[int, bytes]) -> Iterator[KylinRest]:
    """Gives the answers in turn, and the last of them again and again."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - http.server looks for these names

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        with KylinRest(f"http://127.0.0.1:{server.server_address[1]}", "ADMIN", "word", retry_seconds=5) as rest:
            yield rest
    finally:
        server.shutdown()
        server.server_close()


def said(message: object, **more: object) -> bytes:
    trace = "org.springframework.Secret\n\tat org.apache"
    return json.dumps({"code": "999", "data": None, "msg": message, "stacktrace": trace, **more}).encode()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, HTML, KylinDenied),
        (403, HTML, KylinDenied),
        (404, HTML, KylinMissing),
        (500, said("Access is denied"), KylinDenied),
        (400, said("Cannot find project 'x'."), KylinMissing),
        (500, said("The project named 'gradcube' already exists."), KylinConflict),
        (400, said("Model name 'm' is duplicated, could not be created."), KylinConflict),
        (500, said("Only ready cube can be disabled, facts is DISABLED"), KylinConflict),
        (500, said("timeout when call stream rpc"), KylinAbsent),
        (400, said("column family lack measure:X"), KylinRefused),
        (500, said(None, exception=None), KylinError),
        (200, json.dumps({"successful": False, "message": "table exists"}).encode(), KylinConflict),
        (502, b"\xff\xfe", KylinError),
    ],
)
def test_each_refusal_has_its_error_that_says_what_to_do(status: int, body: bytes, kind: type[KylinError]) -> None:
    with answering((status, body)) as rest, pytest.raises(KylinError) as caught:
        rest.post("cubes", {"a": 1})
    assert type(caught.value) is kind
    assert "POST cubes: " in str(caught.value)
    assert "gradcube" in str(caught.value) or "docs/kylin.md" in str(caught.value) or "password" in str(caught.value)
    assert "Secret" not in str(caught.value)


def test_answer_is_read_and_nothing_is_none() -> None:
    with answering((200, b'[{"name": "gradcube"}]'), (200, b"")) as rest:
        assert rest.get("projects") == [{"name": "gradcube"}]
        assert rest.delete("projects/x") is None


def test_question_is_asked_again_while_a_receiver_is_away_and_a_change_is_not() -> None:
    away = (500, said("timeout when call stream rpc"))
    with answering(away, away, (200, b"7")) as rest:
        assert rest.get("projects") == 7
    with answering(away, (200, b"7")) as rest, pytest.raises(KylinAbsent):
        rest.put("cubes/c/enable")


def test_nobody_is_told_with_the_way_out() -> None:
    rest = KylinRest(f"http://127.0.0.1:{free_port()}", "ADMIN", "word", retry_seconds=0)
    with rest, pytest.raises(KylinAbsent, match="gradcube kylin up"):
        rest.get("projects")
