"""The hot path in the training process: one StepSync record, byte-identical to fastavro's, in microseconds.

Everything that a rank never changes is made once: the header and identity, and per number of buckets a
template of the tail, into which one numpy assignment puts all eight arrays.
"""

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gradcube.events.framing import header
from gradcube.events.registry import registry
from gradcube.events.step_sync import (
    BUCKET_FIELDS,
    COUNT_FIELDS,
    FLOAT_FIELDS,
    NAME,
    StepIdentity,
    check_schema,
)
from gradcube.events.varint import int_bytes, long_bytes, string_bytes

_FLOATS = struct.Struct(f"<{len(FLOAT_FIELDS)}f")
_NUM_COUNTS = len(COUNT_FIELDS)
_NULL, _VALUE = b"\x00", b"\x02"  # the branches of a nullable long
_MAX_TEMPLATES = 16
_MAX_KNOWN_COUNTS = 1024


class StepSyncEncoder:
    """Makes the records of one rank: `StepSyncEncoder(StepIdentity("bert", 0, 2, "node-a")).encode(...)`.

    Not thread-safe: the templates are written over by each call.
    """

    def __init__(self, identity: StepIdentity) -> None:
        schema = registry().latest(NAME)
        check_schema(schema.parsed)
        self._prefix = header(schema.id) + _identity_bytes(identity)
        self._templates: dict[int, tuple[NDArray[np.float32], NDArray[np.void]]] = {}
        self._known_counts: dict[int | None, bytes] = {}

    def encode(
        self,
        *,
        step: int,
        seq: int,
        dropped: int,
        ended_at_micros: int,
        counts: Sequence[int | None],
        floats: Sequence[float],
        buckets: NDArray[np.float32],
    ) -> bytes:
        """The framed record. `counts` is (8,), `floats` (13,), `buckets` (8, n) with n from 0.

        A float beyond float32 becomes infinite. Raises ValueError for another shape, a null `nonfinite`, or
        an integer beyond 64 bits.
        """
        return b"".join(
            (
                self._prefix,
                long_bytes(step),
                long_bytes(seq),
                long_bytes(dropped),
                long_bytes(ended_at_micros),
                self._count_bytes(counts),
                _float_bytes(floats),
                self._bucket_bytes(buckets),
            )
        )

    def _count_bytes(self, counts: Sequence[int | None]) -> bytes:
        nonfinite, *optional = counts
        if len(optional) != _NUM_COUNTS - 1 or nonfinite is None:
            raise ValueError(f"counts must be {_NUM_COUNTS} with nonfinite not null, they are {counts}")
        known = self._known_counts.get  # batch and token counts hardly change from step to step
        return long_bytes(nonfinite) + b"".join([known(count) or self._add_count(count) for count in optional])

    def _add_count(self, count: int | None) -> bytes:
        if len(self._known_counts) >= _MAX_KNOWN_COUNTS:
            self._known_counts.clear()
        self._known_counts[count] = _NULL if count is None else _VALUE + long_bytes(count)
        return self._known_counts[count]

    def _bucket_bytes(self, buckets: NDArray[np.float32]) -> bytes:
        if buckets.ndim != 2 or buckets.shape[0] != len(BUCKET_FIELDS):
            raise ValueError(f"buckets must be (8, n), they are {buckets.shape}")
        num_buckets = buckets.shape[1]
        values, template = self._templates.get(num_buckets) or self._add_template(num_buckets)
        values[...] = buckets
        return template.tobytes()

    def _add_template(self, num_buckets: int) -> tuple[NDArray[np.float32], NDArray[np.void]]:
        if len(self._templates) >= _MAX_TEMPLATES:
            self._templates.clear()  # a model whose number of buckets changes every step must not grow us
        template = np.zeros(len(BUCKET_FIELDS), bucket_dtype(num_buckets))
        template["count"] = count_bytes(num_buckets)
        self._templates[num_buckets] = template["values"], template
        return self._templates[num_buckets]


def bucket_dtype(num_buckets: int) -> np.dtype[np.void]:
    """One array on the wire: its only block's count and floats, and the 0 that ends the blocks."""
    count = ("count", "u1", (len(count_bytes(num_buckets)),))
    return np.dtype([count, ("values", "<f4", (num_buckets,)), ("end", "u1")])


def count_bytes(num_buckets: int) -> NDArray[np.uint8]:
    """The count that opens an array's only block; none for an empty array."""
    return np.frombuffer(long_bytes(num_buckets) if num_buckets else b"", np.uint8)


def _identity_bytes(identity: StepIdentity) -> bytes:
    out = string_bytes(identity.job) + int_bytes(identity.attempt) + int_bytes(identity.rank)
    return out + string_bytes(identity.node) + int_bytes(identity.stage) + int_bytes(identity.replica)


def _float_bytes(floats: Sequence[float]) -> bytes:
    if len(floats) != len(FLOAT_FIELDS):
        raise ValueError(f"floats must be {len(FLOAT_FIELDS)}, they are {len(floats)}")
    try:
        return _FLOATS.pack(*floats)
    except OverflowError:  # struct refuses what float32 cannot hold; an exploded loss is infinite, as in fastavro
        with np.errstate(over="ignore"):
            return np.asarray(floats, np.float64).astype("<f4").tobytes()
