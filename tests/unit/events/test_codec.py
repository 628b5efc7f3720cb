"""Every event survives the way there and back, and nothing but SchemaError comes out of wrong ones."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.events.records import NAMES, fastavro_body, values

from gradcube.errors import SchemaError, UnknownSchemaId
from gradcube.events import codec, decode, encode, frame, registry, unframe
from gradcube.events.registry import RegisteredSchema, Registry

COMMAND: dict[str, Any] = {"id": "a", "job": "b", "at": 5, "by": "c", "action": "stop", "arguments": {"why": "π"}}
RECORDS = st.sampled_from(NAMES).flatmap(lambda name: st.tuples(st.just(name), values(registry().latest(name).parsed)))


def test_frame_is_a_zero_byte_the_id_and_the_body() -> None:
    assert frame(258, b"body") == b"\x00\x00\x00\x01\x02body"
    schema_id, body = unframe(b"\x00\x00\x00\x01\x02body")
    assert (schema_id, bytes(body)) == (258, b"body")


@pytest.mark.parametrize(
    ("value", "message"),
    [(b"", "0"), (b"\x00\x00\x00\x01", "4"), (b"\x01abcdef", "0x01"), (None, "NoneType"), (5, "int")],
)
def test_unframed_value_is_refused(value: Any, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        unframe(value)


@given(RECORDS)
def test_encoded_record_is_fastavros_and_decodes_to_the_same_bytes_again(drawn: tuple[str, dict[str, Any]]) -> None:
    name, record = drawn
    value = encode(name, record)
    assert value[5:] == fastavro_body(name, record)
    decoded_name, decoded = decode(value)
    assert decoded_name == name
    assert decoded.keys() == record.keys()
    assert encode(name, decoded) == value  # bytes, since NaN is not equal to itself


def test_times_stay_integers() -> None:
    assert decode(encode("Command", COMMAND)) == ("Command", COMMAND)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"at": "noon"}, r"Command\.at"),
        ({"at": None}, r"Command\.at"),
        ({"at": 2**63}, r"Command\.at"),
        ({"job": 5}, r"Command\.job"),
        ({"job": "\ud800"}, r"Command\.job"),
        ({"arguments": [1]}, r"Command\.arguments"),
        ({"arguments": {"a": 1}}, r"Command\.arguments"),
        ({"extra": 1}, "no field 'extra'"),
    ],
)
def test_value_that_does_not_fit_is_refused_with_its_field(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        encode("Command", COMMAND | change)


def test_missing_field_is_named() -> None:
    with pytest.raises(SchemaError, match=r"Command\.by is missing"):
        encode("Command", {name: value for name, value in COMMAND.items() if name != "by"})


def test_int_beyond_32_bits_is_refused_when_it_is_written() -> None:
    record = dict.fromkeys(("job", "dataset", "metric"), "x") | {"attempt": 2**31, "step": 1, "ended_at": 1}
    with pytest.raises(SchemaError, match=r"Evaluation\.attempt.*32 bits"):
        encode("Evaluation", record | {"value": 1.0, "samples": 1})


def test_absent_nullable_field_is_null() -> None:
    _, sample = decode(encode("ResourceSample", {"node": "n", "device": "host", "sampled_at": 1}))
    assert sample["gpu_power_watts"] is None


def test_unknown_name_and_id_are_refused() -> None:
    with pytest.raises(SchemaError, match="Nothing"):
        encode("Nothing", {})
    with pytest.raises(UnknownSchemaId, match="77"):
        decode(frame(77, b""))


def test_string_that_is_not_utf8_is_refused() -> None:
    value = encode("Command", COMMAND).replace("π".encode(), b"\xff\xfe")
    with pytest.raises(SchemaError, match="Command version 1"):
        decode(value)


@given(st.binary(max_size=200), st.sampled_from([schema.id for schema in registry().all()]))
def test_arbitrary_body_gives_a_record_or_a_schema_error(body: bytes, schema_id: int) -> None:
    try:
        name, record = decode(frame(schema_id, body))
    except SchemaError:
        return
    assert decode(encode(name, record))[1].keys() == record.keys()


@given(st.binary(max_size=40))
def test_arbitrary_value_gives_a_record_or_a_schema_error(value: bytes) -> None:
    with suppress(SchemaError):
        assert decode(value)[0] in NAMES


@given(RECORDS, st.data())
def test_cut_off_record_is_always_refused(drawn: tuple[str, dict[str, Any]], data: st.DataObject) -> None:
    value = encode(*drawn)
    with pytest.raises(SchemaError):
        decode(value[: data.draw(st.integers(0, len(value) - 1))])


@given(RECORDS, st.data())
def test_mutated_record_gives_a_record_or_a_schema_error(drawn: tuple[str, Any], data: st.DataObject) -> None:
    value = bytearray(encode(*drawn))
    for _ in range(data.draw(st.integers(1, 3))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    with suppress(SchemaError):
        assert decode(bytes(value))[0] in NAMES


@given(RECORDS, st.binary(min_size=1, max_size=5))
def test_bytes_behind_the_record_are_refused(drawn: tuple[str, dict[str, Any]], more: bytes) -> None:
    with pytest.raises(SchemaError, match="behind its end"):
        decode(encode(*drawn) + more)


def test_record_of_an_older_version_is_resolved_to_the_latest(monkeypatch: pytest.MonkeyPatch) -> None:
    older, newer = (
        {"type": "record", "name": "Pause", "fields": [{"name": "job", "type": "string"}, *more]}
        for more in ([], [{"name": "why", "type": "string", "default": "asked"}])
    )
    schemas = [RegisteredSchema(900 + n, "Pause", n, "s", "", schema) for n, schema in enumerate([older, newer], 1)]
    monkeypatch.setattr(codec, "registry", lambda: Registry(schemas))
    assert decode(frame(901, b"\x04ab")) == ("Pause", {"job": "ab", "why": "asked"})
    assert decode(encode("Pause", {"job": "ab"})) == ("Pause", {"job": "ab", "why": "asked"})
