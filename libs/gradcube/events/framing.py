"""Confluent framing: byte 0x00, the schema id as 4 big-endian bytes, the Avro body."""

import struct

from gradcube.errors import SchemaError

HEADER_BYTES = 5
_HEADER = struct.Struct(">BI")


def header(schema_id: int) -> bytes:
    """The 5 bytes that open every record of this schema."""
    return _HEADER.pack(0, schema_id)


def frame(schema_id: int, body: bytes) -> bytes:
    """The record as it travels."""
    return header(schema_id) + body


def unframe(value: bytes) -> tuple[int, memoryview]:
    """(schema id, body). Raises SchemaError for what is not framed this way, a null value too."""
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise SchemaError(f"a record must be bytes, this is {type(value).__name__}; was a tombstone sent?")
    if len(value) < HEADER_BYTES:
        raise SchemaError(f"a record has at least {HEADER_BYTES} bytes, this has {len(value)}; it was cut off")
    magic, schema_id = _HEADER.unpack_from(value)
    if magic != 0:
        raise SchemaError(f"a record begins with byte 0x00, this with 0x{magic:02x}; the sender must frame its Avro")
    return schema_id, memoryview(value)[HEADER_BYTES:]
