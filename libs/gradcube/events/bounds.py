"""Walks an Avro body before anything is allocated: what passes is well formed and exactly as long as it says.

A block count, string length or varint in a hostile record can claim 2**62 items; a reader that believes it
allocates or loops. `checker(schema)` compiles the walk once per schema.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gradcube.errors import SchemaError

VARINT_BYTES = 10
INT_RANGE = range(-(2**31), 2**31)
FIXED_BYTES = {"null": 0, "float": 4, "double": 8}

Walk = Callable[[memoryview, int], int]
"""(body, position) -> position behind the value. Raises SchemaError or IndexError at the end of the body."""


@dataclass(frozen=True)
class _Step:
    walk: Walk
    least_bytes: int
    fixed: bool = False


def checker(schema: Any) -> Callable[[memoryview], None]:
    """A function that raises SchemaError unless its argument is exactly one value of the parsed `schema`.

    Raises SchemaError for a schema whose items can be empty, or that contains itself: they have no bound.
    """
    step = _compile(schema)

    def check(body: memoryview) -> None:
        try:
            position = step.walk(body, 0)
        except IndexError:
            raise SchemaError(
                f"the record ends after {len(body)} bytes in the middle of a value; it was cut off"
            ) from None
        if position != len(body):
            raise SchemaError(f"the record has {len(body) - position} bytes behind its end, at byte {position}")

    return check


def read_long(body: memoryview, position: int) -> tuple[int, int]:
    """(value, position behind it). Raises SchemaError beyond 64 bits, IndexError at the end of the body."""
    value = 0
    for shift in range(0, 7 * VARINT_BYTES, 7):
        byte = body[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >= 2**64:
                break
            return (value >> 1) ^ -(value & 1), position
    raise SchemaError(f"an integer before byte {position} has more than 64 bits")


def _compile(schema: Any) -> _Step:
    if isinstance(schema, list):
        return _union([_compile(branch) for branch in schema])
    kind = schema["type"] if isinstance(schema, Mapping) else schema
    if kind in FIXED_BYTES:
        return _fixed(FIXED_BYTES[kind])
    if kind in _SCALARS:
        return _SCALARS[kind]
    if kind == "record":
        return _record([(field["name"], _compile(field["type"])) for field in schema["fields"]])
    if kind == "enum":
        return _enum(len(schema["symbols"]))
    if kind == "fixed":
        return _fixed(schema["size"])
    if kind == "array":
        return _blocks(_compile(schema["items"]))
    if kind == "map":
        return _blocks(_record([("key", _SCALARS["string"]), ("value", _compile(schema["values"]))]))
    raise SchemaError(f"type {kind!r} cannot be bounded; write named types out where they are used")


def _fixed(size: int) -> _Step:
    return _Step(lambda body, position: _inside(body, position + size), least_bytes=size, fixed=True)


def _inside(body: memoryview, position: int) -> int:
    if position > len(body):
        raise IndexError(position)
    return position


def _walk_long(body: memoryview, position: int) -> int:
    return read_long(body, position)[1]


def _walk_int(body: memoryview, position: int) -> int:
    value, behind = read_long(body, position)
    if value not in INT_RANGE:
        raise SchemaError(f"the int at byte {position} is {value}: more than 32 bits")
    return behind


def _walk_boolean(body: memoryview, position: int) -> int:
    if body[position] > 1:
        raise SchemaError(f"the boolean at byte {position} is {body[position]}, neither 0 nor 1")
    return position + 1


def _walk_sized(body: memoryview, position: int) -> int:
    length, start = read_long(body, position)
    if not 0 <= length <= len(body) - start:
        raise SchemaError(f"the length at byte {position} is {length}, {len(body) - start} bytes are left")
    return start + length


_SCALARS = {
    "boolean": _Step(_walk_boolean, 1),
    "int": _Step(_walk_int, 1),
    "long": _Step(_walk_long, 1),
    "bytes": _Step(_walk_sized, 1),
    "string": _Step(_walk_sized, 1),
}


def _record(fields: list[tuple[str, _Step]]) -> _Step:
    def walk(body: memoryview, position: int) -> int:
        for name, step in fields:
            try:
                position = step.walk(body, position)
            except SchemaError as error:
                raise SchemaError(f"{name}: {error}") from None
        return position

    return _Step(walk, least_bytes=sum(step.least_bytes for _, step in fields))


def _enum(num_symbols: int) -> _Step:
    def walk(body: memoryview, position: int) -> int:
        index, behind = read_long(body, position)
        if not 0 <= index < num_symbols:
            raise SchemaError(f"the enum at byte {position} is {index} of {num_symbols} symbols")
        return behind

    return _Step(walk, least_bytes=1)


def _union(branches: list[_Step]) -> _Step:
    def walk(body: memoryview, position: int) -> int:
        index, behind = read_long(body, position)
        if not 0 <= index < len(branches):
            raise SchemaError(f"the union at byte {position} is {index} of {len(branches)} branches")
        return branches[index].walk(body, behind)

    return _Step(walk, least_bytes=1 + min(branch.least_bytes for branch in branches))


def _blocks(item: _Step) -> _Step:
    if item.least_bytes == 0:
        raise SchemaError("an array's items must have at least one byte: 2**62 empty ones would fit into any record")

    def walk(body: memoryview, position: int) -> int:
        while True:
            start = position
            count, position = read_long(body, position)
            if count == 0:
                return position
            size = None
            if count < 0:
                count = -count
                size, position = read_long(body, position)
            if count * item.least_bytes > len(body) - position:
                raise SchemaError(f"the count at byte {start} is {count}, {len(body) - position} bytes are left")
            end = _items(item, body, position, count)
            if size is not None and size != end - position:
                raise SchemaError(f"the block at byte {start} has {end - position} bytes, it says {size}")
            position = end

    return _Step(walk, least_bytes=1)


def _items(item: _Step, body: memoryview, position: int, count: int) -> int:
    if item.fixed:
        return position + count * item.least_bytes
    for _ in range(count):
        position = item.walk(body, position)
    return position
