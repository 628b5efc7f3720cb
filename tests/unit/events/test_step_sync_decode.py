"""A batch decodes to what the generic codec reads record by record, and a bad record costs nobody else anything."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.events.records import IDENTITIES, STEPS, encoded_step

from gradcube.errors import SchemaError, UnknownSchemaId
from gradcube.events import (
    BUCKET_FIELDS,
    COUNT_FIELDS,
    FLOAT_FIELDS,
    MISSING,
    StepBatch,
    StepIdentity,
    StepSyncEncoder,
    decode,
    decode_batch,
    encode,
    frame,
)
from gradcube.events.varint import long_bytes

GOOD_VALUES = st.builds(lambda identity, parts: StepSyncEncoder(identity).encode(**parts), IDENTITIES, STEPS)
COMMAND = encode("Command", {"id": "a", "job": "b", "at": 5, "by": "c", "action": "d", "arguments": {}})
MULTI_BLOCK = b"\x02" + bytes(4) + b"\x01\x08" + bytes(4) + b"\x00"
"""An array of two floats as one plain block and one with its size, as other writers may send it."""


def readable(value: bytes | None) -> dict[str, Any] | None:
    """The record, if the generic codec reads it as a StepSync with equal bucket arrays."""
    try:
        name, record = decode(value)  # type: ignore[arg-type]
    except SchemaError:
        return None
    plain = name == "StepSync" and len({len(record[field]) for field in BUCKET_FIELDS}) == 1
    return record if plain else None


def assert_row(batch: StepBatch, row: int, record: dict[str, Any]) -> None:
    for name in ("job", "node", "attempt", "rank", "stage", "replica", "step", "seq", "dropped"):
        assert getattr(batch, name)[row] == record[name], name
    assert batch.ended_at_micros[row] == record["ended_at"]
    counts = [MISSING if record[name] is None else record[name] for name in COUNT_FIELDS]
    assert batch.counts[row].tolist() == counts
    np.testing.assert_array_equal(batch.floats[row], np.array([record[name] for name in FLOAT_FIELDS], np.float32))
    wanted = np.array([record[name] for name in BUCKET_FIELDS], np.float32)
    np.testing.assert_array_equal(batch.bucket_values(row), wanted)
    assert batch.bucket_counts[row] == wanted.shape[1]


def assert_as_generic(values: list[bytes | None]) -> StepBatch:
    batch, bad = decode_batch(values)
    records = [readable(value) for value in values]
    assert batch.index.tolist() == [i for i, record in enumerate(records) if record is not None]
    assert [record.index for record in bad] == [i for i, record in enumerate(records) if record is None]
    assert all(isinstance(record.error, SchemaError) for record in bad)
    for row, index in enumerate(batch.index):
        assert_row(batch, row, records[index] or {})
    assert sorted(np.concatenate([np.zeros(0), *(group.rows for group in batch.bucket_groups)])) == list(
        range(len(batch))
    )
    return batch


@settings(max_examples=60)
@given(st.lists(GOOD_VALUES, max_size=8))
def test_batch_is_what_the_generic_codec_reads(values: list[bytes | None]) -> None:
    assert len(assert_as_generic(values)) == len(values)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    value = bytearray(draw(st.one_of(GOOD_VALUES, st.builds(encoded_step, st.integers(0, 9), st.integers(0, 3)))))
    near_end = st.integers(max(0, len(value) - 80), len(value) - 1)
    for _ in range(draw(st.integers(1, 2))):
        position = draw(st.one_of(st.integers(0, len(value) - 1), near_end))
        change = draw(st.sampled_from(["set", "cut", "insert", "delete"]))
        byte = draw(st.one_of(st.integers(0, 255), st.sampled_from([0, 1, 2, 127, 128, 255])))
        if change == "set" and position < len(value):
            value[position] = byte
        elif change == "cut":
            del value[position:]
        elif change == "insert":
            value.insert(position, byte)
        else:
            del value[position : position + 1]
        if not value:
            break
    return bytes(value)


@settings(max_examples=100)
@given(st.lists(st.one_of(mutated(), GOOD_VALUES, st.binary(max_size=30), st.none()), max_size=6))
def test_mutated_batch_is_what_the_generic_codec_reads(values: list[bytes | None]) -> None:
    assert_as_generic(values)


@given(st.lists(st.binary(max_size=120).map(lambda body: frame(1, body)), max_size=6))
def test_arbitrary_bodies_behind_the_right_header_are_bad_records(values: list[bytes | None]) -> None:
    assert_as_generic(values)


BAD: dict[str, bytes | None] = {
    "tombstone": None,
    "empty": b"",
    "header cut off": encoded_step()[:4],
    "body missing": encoded_step()[:5],
    "cut off": encoded_step()[:-1],
    "cut in the identity": encoded_step()[:9],
    "too long": encoded_step() + b"\x00",
    "unknown schema": b"\x00\x00\x00\x12\x67" + encoded_step()[5:],
    "another event": COMMAND,
    "not framed": b"\x01" + encoded_step()[1:],
    "10 MB of garbage": b"\x00\x00\x00\x00\x01" + b"\xfe" * 10_000_000,
    "10 MB of zeros": bytes(10_000_000),
    "job is not UTF-8": encoded_step(identity=StepIdentity("berlin", 0, 0, "n")).replace(b"berlin", b"berl\xff\xff"),
    "unequal arrays": encoded_step(num_buckets=1)[:-6] + b"\x00",
    "rank beyond 32 bits": frame(1, b"\x02j\x00" + long_bytes(2**31)) + encoded_step(num_buckets=0)[12:],
}


@pytest.mark.parametrize("name", BAD)
def test_bad_record_in_the_middle_leaves_the_rest_of_the_batch(name: str) -> None:
    values = [encoded_step(0), encoded_step(1), BAD[name], encoded_step(2, 64), encoded_step(3, 0)]
    batch, bad = decode_batch(values)
    assert [record.index for record in bad] == [2]
    assert isinstance(bad[0].error, SchemaError)
    assert batch.step.tolist() == [0, 1, 2, 3]
    assert batch.index.tolist() == [0, 1, 3, 4]
    for row in range(4):
        np.testing.assert_array_equal(batch.bucket_values(row), readable_buckets(values[batch.index[row]]))


def readable_buckets(value: bytes | None) -> np.ndarray:
    record = readable(value)
    assert record is not None
    return np.array([record[name] for name in BUCKET_FIELDS], np.float32)


def test_every_bad_record_at_once_is_reported_in_order() -> None:
    values = [value for bad in BAD.values() for value in (bad, encoded_step(5))]
    batch, bad_records = decode_batch(values)
    assert [record.index for record in bad_records] == list(range(0, len(values), 2))
    assert len(batch) == len(BAD)


def test_bad_record_says_what_is_wrong_with_it() -> None:
    wanted = {
        "tombstone": "NoneType",
        "cut off": "cut off",
        "too long": "1 bytes behind its end",
        "unknown schema": "schema id 4711",
        "another event": "this is a Command",
        "unequal arrays": "same length",
        "rank beyond 32 bits": r"rank: .* 2147483648",
    }
    _, bad = decode_batch([BAD[name] for name in wanted])
    for record, message in zip(bad, wanted.values(), strict=True):
        assert re.search(message, str(record.error)), (message, str(record.error))
    assert isinstance(bad[3].error, UnknownSchemaId)


def test_record_of_another_writer_takes_the_generic_path_in_its_place() -> None:
    head = encoded_step(7, 0)[:-8]
    other = head + MULTI_BLOCK * 8
    batch = assert_as_generic([encoded_step(1, 2), other, encoded_step(2, 2), encoded_step(3, 5)])
    assert batch.step.tolist() == [1, 7, 2, 3]
    assert batch.bucket_counts.tolist() == [2, 2, 2, 5]


def test_overlong_varints_are_legal_and_read() -> None:
    plain = encoded_step(0, 1)
    overlong_length = plain[:5] + b"\x88\x00" + plain[6:]
    tail = (b"\x82\x00" + bytes(4) + b"\x00") * 8
    batch = assert_as_generic([overlong_length, plain[: -8 * 6] + tail, plain])
    assert len(batch) == 3


def test_equal_strings_are_the_same_object_in_and_across_batches() -> None:
    (one, _), (two, _) = decode_batch([encoded_step(), encoded_step(1)]), decode_batch([encoded_step()])
    other, _ = decode_batch([encoded_step(0, 0)[:-8] + MULTI_BLOCK * 8])
    assert one.job[0] is one.job[1] is two.job[0] is other.job[0]
    assert one.node[0] is one.node[1] is two.node[0] is other.node[0]


def test_empty_batch_has_all_columns() -> None:
    batch, bad = decode_batch([])
    assert (len(batch), bad) == (0, [])
    assert (batch.counts.shape, batch.floats.shape, batch.bucket_groups) == ((0, 8), (0, 13), ())


def test_columns_have_their_promised_types() -> None:
    for values in ([encoded_step()], [], [None], [encoded_step(0, 0)[:-8] + MULTI_BLOCK * 8]):
        batch, _ = decode_batch(values)
        assert {batch.job.dtype, batch.node.dtype} == {np.dtype(object)}
        assert {getattr(batch, name).dtype for name in ("attempt", "rank", "stage", "replica")} == {np.dtype("i4")}
        longs = ("index", "step", "seq", "dropped", "ended_at_micros", "counts")
        assert {getattr(batch, name).dtype for name in longs} == {np.dtype("i8")}
        assert (batch.floats.dtype, batch.bucket_counts.dtype) == (np.dtype("f4"), np.dtype("i4"))


def test_many_bucket_counts_in_one_batch_come_back_each_with_its_record() -> None:
    values = [encoded_step(number, number % 7) for number in range(50)]
    batch, _ = decode_batch(values)
    for row in range(50):
        np.testing.assert_array_equal(batch.bucket_values(row), readable_buckets(values[row]))
    np.testing.assert_array_equal(batch.bucket_values(-1), batch.bucket_values(49))


def test_bucket_absmax_is_the_largest_of_each_record() -> None:
    batch, _ = decode_batch([encoded_step(0, 3), encoded_step(0, 0), encoded_step(5, 2)])
    np.testing.assert_array_equal(batch.bucket_absmax(), np.array([23, np.nan, 20], np.float32))


def test_decoded_columns_do_not_hold_the_batch_alive_or_change_it() -> None:
    value = encoded_step(1, 4)
    batch, _ = decode_batch([value])
    batch.bucket_values(0)[:] = 0
    batch.floats[:] = 0
    assert value == encoded_step(1, 4)
