"""The frames that trainers and shards exchange: a fixed header, then one array or a message.

Every field is checked before anything is allocated or believed; anything else is a ProtocolError.
"""

import struct
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import crc32c
from numpy.typing import NDArray

from gradcube.errors import ProtocolError

MAGIC = b"GCPX"
PROTOCOL_VERSION = 1
MESSAGE_LIMIT_BYTES = 4096
"""Longest text or list of versions in a frame."""
MAXIMUM_SHARDS = 10_000

# magic, protocol version, kind, flags, request id, shard, epoch, version, payload length, then the details:
# rank, parameters of the whole job, weight, learning rate, staleness, squares of three norms; last the crc32c.
_HEADER = struct.Struct("!4sBBHIIqqQ iqddq ddd I".replace(" ", ""))
HEADER_BYTES = _HEADER.size
_CHECKED_BYTES = HEADER_BYTES - 4


class Kind(IntEnum):
    """What a frame asks (below 16) or answers."""

    INITIALIZE = 1
    GET = 2
    PUSH = 3
    VERSIONS = 4
    RESTORE = 5
    PARAMETERS = 16
    MEMBERSHIP_CHANGED = 17
    STALE_VERSION = 18
    RETRY = 19
    UNINITIALIZED = 20
    VERSION_LIST = 21
    REFUSED = 22


@dataclass(frozen=True, slots=True)
class Header:
    """One frame's header. `length` counts the payload's bytes; `crc` covers header and payload.

    `parameters` is the size of the whole job's vector, not of the shard. `expected` versions for RESTORE travel
    in `staleness`.
    """

    kind: Kind
    request: int = 0
    shard: int = 0
    epoch: int = 0
    version: int = 0
    length: int = 0
    rank: int = -1
    parameters: int = 0
    weight: float = 0.0
    learning_rate: float = 0.0
    staleness: int = 0
    gradient_square: float = 0.0
    update_square: float = 0.0
    parameter_square: float = 0.0
    crc: int = 0


def pack(header: Header, payload: memoryview) -> bytes:
    """The header's bytes for `payload`, with its length and checksum."""
    filled = replace(header, length=payload.nbytes)
    checked = _HEADER.pack(MAGIC, PROTOCOL_VERSION, filled.kind, 0, *_fields(filled), 0)[:_CHECKED_BYTES]
    return checked + struct.pack("!I", _checksum(checked, payload))


def parse(raw: bytes | bytearray) -> Header:
    """The header in HEADER_BYTES bytes. Raises ProtocolError for anything that `pack` does not make."""
    if len(raw) != HEADER_BYTES:
        raise ProtocolError(f"a header has {HEADER_BYTES} bytes, not {len(raw)}")
    magic, version, kind, flags, *fields = _HEADER.unpack(raw)
    if magic != MAGIC:
        raise ProtocolError(f"frame starts with {magic!r}, not {MAGIC!r}: the other end is not gradcube's")
    if version != PROTOCOL_VERSION or flags != 0:
        raise ProtocolError(
            f"frame of protocol {version}, flags {flags}; here is {PROTOCOL_VERSION}: run the same release"
        )
    try:
        header = Header(Kind(kind), *fields)
    except ValueError as error:
        raise ProtocolError(f"frame of unknown kind {kind}") from error
    if header.shard >= MAXIMUM_SHARDS or header.epoch < 0 or header.version < -1 or header.parameters < 0:
        raise ProtocolError(f"frame with shard {header.shard}, epoch {header.epoch}, version {header.version}")
    return header


def as_bytes(array: NDArray[Any]) -> memoryview:
    """The bytes of a contiguous array, without a copy."""
    return memoryview(array).cast("B")  # type: ignore[arg-type]


def check_length(header: Header, expected_bytes: int) -> None:
    """Raises ProtocolError when the payload has another length; called before the payload is received."""
    if header.length != expected_bytes:
        raise ProtocolError(f"{header.kind.name} with {header.length} bytes of payload, expected {expected_bytes}")


def check_limit(header: Header, limit_bytes: int) -> None:
    """Raises ProtocolError when the payload is longer than allowed; called before it is allocated."""
    if header.length > limit_bytes:
        raise ProtocolError(f"{header.kind.name} with {header.length} bytes of payload, at most {limit_bytes} allowed")


def check_crc(raw: bytes | bytearray, header: Header, payload: memoryview) -> None:
    """Raises ProtocolError when header or payload were damaged on the way."""
    found = _checksum(memoryview(raw)[:_CHECKED_BYTES], payload)
    if found != header.crc:
        raise ProtocolError(
            f"{header.kind.name} with crc32c {found:#010x}, announced {header.crc:#010x}: damaged on the way"
        )


def _fields(header: Header) -> tuple[int | float, ...]:
    return (
        header.request,
        header.shard,
        header.epoch,
        header.version,
        header.length,
        header.rank,
        header.parameters,
        header.weight,
        header.learning_rate,
        header.staleness,
        header.gradient_square,
        header.update_square,
        header.parameter_square,
    )


def _checksum(header: bytes | memoryview, payload: memoryview) -> int:
    return int(crc32c.crc32c(payload, crc32c.crc32c(header)))
