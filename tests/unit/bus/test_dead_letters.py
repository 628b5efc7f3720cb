"""Headers of a dead letter say where it came from and what was wrong; its own headers stay."""

from gradcube.bus.consumer import Record
from gradcube.bus.dead_letters import dead_letter_headers
from gradcube.errors import SchemaError

RECORD = Record("gradcube.steps", 3, 41, 1_700_000_000_123, b"bert/0", b"\xff", (("trace", b"1"),))


def test_headers_follow_connects_names() -> None:
    headers = dict(dead_letter_headers(RECORD, SchemaError("no such schema: 9"), "decode"))
    assert headers == {
        "trace": b"1",
        "__connect.errors.topic": b"gradcube.steps",
        "__connect.errors.partition": b"3",
        "__connect.errors.offset": b"41",
        "__connect.errors.exception.class.name": b"gradcube.errors.SchemaError",
        "__connect.errors.exception.message": b"no such schema: 9",
        "__connect.errors.stage": b"decode",
        "__connect.errors.timestamp": b"1700000000123",
    }


def test_long_message_is_cut_and_odd_characters_survive() -> None:
    headers = dict(dead_letter_headers(RECORD, SchemaError("ü\udcff" + "x" * 100_000), "decode"))
    message = headers["__connect.errors.exception.message"]
    assert message.startswith("ü".encode())
    assert len(message) < 5_000


def test_headers_of_an_earlier_failure_are_replaced() -> None:
    once = dead_letter_headers(RECORD, SchemaError("first"), "decode")
    again = Record("gradcube.steps", 3, 99, 5, b"bert/0", b"\xff", tuple(once))
    headers = dead_letter_headers(again, SchemaError("second"), "decode")
    assert len(headers) == len(once)
    assert dict(headers)["__connect.errors.exception.message"] == b"second"
