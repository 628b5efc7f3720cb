"""What a hostile record claims is checked against what it has, before anything is allocated."""

import subprocess
import sys
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from tests.unit.events.records import LONGS, encoded_step

from gradcube.errors import SchemaError
from gradcube.events import decode, decode_batch, frame, registry
from gradcube.events.bounds import checker, read_long
from gradcube.events.varint import int_bytes, long_bytes, string_bytes

HUGE = [2**20, 2**31, 2**40, 2**62, 2**63 - 1]
STEP_HEAD = encoded_step(num_buckets=0)[5:-8]
SERVER_HEAD = b"\x02j\x00\x00\x02n\x00\x00\x00\x00\x00\x00\x00"
FINDING_HEAD = b"\x02i\x02j\x00\x00\x00" + bytes(6) + bytes(3) + bytes(2) + bytes(16)


def bombs() -> list[bytes]:
    found = []
    for huge in HUGE:
        count, negative = long_bytes(huge), long_bytes(-huge)
        found += [frame(schema.id, count) for schema in registry().all()]
        for head, schema_id in ((STEP_HEAD, 1), (SERVER_HEAD, 2), (FINDING_HEAD, 6)):
            found.append(frame(schema_id, head + count))
            found.append(frame(schema_id, head + count + bytes(8)))
            found += [
                frame(schema_id, head + negative + size + bytes(8)) for size in (b"\x00", b"\x10", count, negative)
            ]
        found.append(frame(7, b"\x00\x00\x00\x00\x00" + count + bytes(20)))  # Command: map
        found.append(frame(8, b"\x00\x00\x00\x00\x02\x00\x00" + count))  # Partial: bytes
    found.append(frame(1, STEP_HEAD + long_bytes(-(2**63)) + b"\x00"))
    return found


@pytest.mark.parametrize("value", bombs(), ids=lambda value: value[:5].hex() + ".." + value[-14:].hex())
def test_bomb_is_refused_without_allocating_what_it_claims(value: bytes) -> None:
    decode_batch([encoded_step()])  # what is made once is not the bomb's
    tracemalloc.start()
    try:
        with pytest.raises(SchemaError):
            decode(value)
        batch, bad = decode_batch([value])
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (len(batch), [record.index for record in bad]) == (0, [0])
    assert peak_bytes < 256 * 1024


CHILD = """
import resource, sys
from gradcube.errors import SchemaError
from gradcube.events import decode, decode_batch
values = [bytes.fromhex(line.strip()) for line in sys.stdin]
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 16 * 2**20, used + 16 * 2**20))
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
refused = 0
for value in values:
    try:
        decode(value)
    except SchemaError:
        refused += 1
assert len(decode_batch(values)[1]) == refused
print(refused)
"""


def test_all_bombs_are_refused_in_a_process_with_16_mebibytes_to_spare() -> None:
    lines = "\n".join(value.hex() for value in bombs())
    done = subprocess.run(
        [sys.executable, "-c", CHILD], input=lines, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout.strip(), done.stderr) == (str(len(bombs())), "")


def test_ten_megabytes_of_full_varints_are_refused_at_the_first_one() -> None:
    began = time.process_time()
    with pytest.raises(SchemaError, match="64 bits"):
        decode(frame(1, b"\xff" * 10_000_000))
    once = time.process_time() - began
    began = time.process_time()
    bytes(10_000_000).count(1)
    assert once < 100 * (time.process_time() - began) + 0.1


@given(LONGS)
def test_long_is_read_as_it_was_written(value: int) -> None:
    written = long_bytes(value)
    assert read_long(memoryview(written + b"x"), 0) == (value, len(written))


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 2**70])
def test_integer_beyond_64_bits_is_not_written(value: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        long_bytes(value)


def test_int_beyond_32_bits_is_not_written() -> None:
    assert int_bytes(2**31 - 1) == long_bytes(2**31 - 1)
    with pytest.raises(ValueError, match="32 bits"):
        int_bytes(2**31)


@pytest.mark.parametrize("body", [b"\xff" * 9 + b"\x02", b"\xff" * 10, b"\x80" * 11 + b"\x00"])
def test_varint_beyond_64_bits_is_refused(body: bytes) -> None:
    with pytest.raises(SchemaError, match="64 bits"):
        checker("long")(memoryview(body))


LISTS: Any = {"type": "array", "items": "int"}


@pytest.mark.parametrize(
    ("schema", "body", "accepted"),
    [
        (LISTS, b"\x00", True),
        (LISTS, b"\x04\x02\x02\x00", True),
        (LISTS, b"\x02\x02\x02\x02\x00", True),  # two blocks
        (LISTS, b"\x03\x04\x02\x02\x00", True),  # a negative count is followed by the block's size
        (LISTS, b"\x03\x06\x02\x02\x00", False),
        (LISTS, b"\x03\x03\x02\x02\x00", False),
        (LISTS, b"\x04\x02\x02", False),
        (LISTS, b"\x04\x02\x02\x00\x00", False),
        ("boolean", b"\x01", True),
        ("boolean", b"\x02", False),
        ("int", long_bytes(2**31 - 1), True),
        ("int", long_bytes(2**31), False),
        ("int", long_bytes(-(2**31) - 1), False),
        ("double", bytes(8), True),
        ("double", bytes(7), False),
        ("string", string_bytes("abc"), True),
        ("string", b"\x01", False),
        ("string", b"\x08abc", False),
        (["null", "long"], b"\x00", True),
        (["null", "long"], b"\x04\x00", False),
        (["null", "long"], b"\x01\x00", False),
        ({"type": "enum", "symbols": ["A", "B"]}, b"\x02", True),
        ({"type": "enum", "symbols": ["A", "B"]}, b"\x04", False),
        ({"type": "fixed", "size": 3}, b"abc", True),
        ({"type": "fixed", "size": 3}, b"ab", False),
        ({"type": "map", "values": "long"}, b"\x02\x02a\x02\x00", True),
        ({"type": "map", "values": "long"}, b"\x04\x02a\x02\x00", False),
        ("null", b"", True),
        ("long", b"", False),
    ],
)
def test_body_is_accepted_only_when_it_is_exactly_one_value(schema: Any, body: bytes, accepted: bool) -> None:
    if accepted:
        checker(schema)(memoryview(body))
    else:
        with pytest.raises(SchemaError):
            checker(schema)(memoryview(body))


@pytest.mark.parametrize(
    "items", ["null", {"type": "fixed", "size": 0}, {"type": "record", "fields": [{"name": "a", "type": "null"}]}]
)
def test_schema_whose_items_can_be_empty_has_no_bound_and_is_refused(items: Any) -> None:
    with pytest.raises(SchemaError, match="at least one byte"):
        checker({"type": "array", "items": items})


def test_schema_that_contains_itself_is_refused() -> None:
    field = {"name": "next", "type": ["null", "Node"]}
    with pytest.raises(SchemaError, match="Node"):
        checker({"type": "record", "name": "Node", "fields": [field]})
