"""A batch of StepSync records into numpy columns, field by field over the whole batch.

A record of another writer (another schema version, multi-block arrays) or with anything wrong goes alone
through the generic codec; what that refuses is a BadRecord, and the rest of the batch lives on.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcube.events.columns import ColumnReader
from gradcube.events.framing import HEADER_BYTES, header
from gradcube.events.registry import registry
from gradcube.events.step_sync import (
    BUCKET_FIELDS,
    COUNT_FIELDS,
    FLOAT_FIELDS,
    MISSING,
    NAME,
    BadRecord,
    BucketGroup,
    Ints,
    Longs,
    StepBatch,
    Strings,
    check_schema,
)
from gradcube.events.step_sync_encode import bucket_dtype, count_bytes
from gradcube.events.step_sync_single import decode_singly, merge

NUM_ARRAYS = len(BUCKET_FIELDS)
FLOAT_BYTES = 4
_Columns = dict[str, NDArray[Any]]


def decode_batch(values: Sequence[bytes | None]) -> tuple[StepBatch, list[BadRecord]]:
    """The records that could be read, and those that could not, both in the order of `values`.

    Never raises for what is in `values`, and allocates a small multiple of their size.
    """
    schema = registry().latest(NAME)
    check_schema(schema.parsed)
    opening = header(schema.id)
    fast = [i for i, value in enumerate(values) if isinstance(value, bytes) and value.startswith(opening)]
    columns, groups, good = _decode_fast([values[i] for i in fast])  # type: ignore[misc]
    index = np.array(fast, np.int64)[good]
    batch = StepBatch(index=index, **columns, bucket_groups=groups)
    if len(index) == len(values):
        return batch, []
    rest = np.setdiff1d(np.arange(len(values)), index, assume_unique=True)
    slow, bad = decode_singly([(int(i), values[i]) for i in rest])
    return (merge(batch, slow) if len(slow) else batch), bad


def _decode_fast(values: Sequence[bytes]) -> tuple[_Columns, tuple[BucketGroup, ...], NDArray[np.bool_]]:
    """(columns of the good records, their buckets, which of `values` are good)."""
    ends = np.cumsum(np.fromiter(map(len, values), np.int64, len(values)))
    starts = np.concatenate([np.zeros(min(len(ends), 1), np.int64), ends[:-1]])
    reader = ColumnReader(b"".join(values), starts + HEADER_BYTES, ends)
    columns = _read_identity(reader, values, starts)
    columns |= {name: reader.longs() for name in ("step", "seq", "dropped", "ended_at_micros")}
    counts = [reader.longs(), *(reader.nullable_longs(MISSING) for _ in COUNT_FIELDS[1:])]
    columns["counts"] = np.stack(counts, axis=1)
    columns["floats"] = reader.floats(len(FLOAT_FIELDS))
    columns["bucket_counts"], groups = _read_buckets(reader)
    good = reader.good
    if not good.all():
        columns = {name: column[good] for name, column in columns.items()}
        moved = np.cumsum(good) - 1
        groups = tuple(BucketGroup(moved[group.rows], group.values) for group in groups)
    return columns, groups, good


def _read_identity(reader: ColumnReader, values: Sequence[bytes], starts: Longs) -> _Columns:
    job = reader.skip_strings()
    attempt, rank = reader.ints(), reader.ints()
    node = reader.skip_strings()
    stage, replica = reader.ints(), reader.ints()
    lengths: list[int] = (reader.position - starts).tolist()
    known: dict[bytes, int] = {}
    codes = [known.setdefault(value[HEADER_BYTES:end], len(known)) for value, end in zip(values, lengths, strict=True)]
    _, first, inverse = np.unique(np.array(codes, np.int64), return_index=True, return_inverse=True)
    jobs, nodes = (_texts(reader, start[first], end[first])[inverse] for start, end in (job, node))
    reader.good &= (jobs != None) & (nodes != None)  # noqa: E711 - elementwise
    return {"job": jobs, "node": nodes, "attempt": attempt, "rank": rank, "stage": stage, "replica": replica}


def _texts(reader: ColumnReader, starts: Longs, ends: Longs) -> Strings:
    texts = np.empty(len(starts), np.object_)
    texts[:] = [reader.text(start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    return texts


def _read_buckets(reader: ColumnReader) -> tuple[Ints, tuple[BucketGroup, ...]]:
    """(number of buckets, values by that number); what is not eight plain equal arrays is not good."""
    tails = reader.position.copy()
    counts = reader.longs()
    reader.good &= (counts >= 0) & (counts <= (reader.ends - tails) // (NUM_ARRAYS * FLOAT_BYTES))
    groups = []
    for num_buckets in np.unique(counts[reader.good]).tolist():
        rows = np.flatnonzero(reader.good & (counts == num_buckets))
        group = _read_group(reader, rows, tails[rows], num_buckets)
        if len(group.rows):
            groups.append(group)
    return np.where(reader.good, counts, 0).astype(np.int32), tuple(groups)


def _read_group(reader: ColumnReader, rows: Longs, tails: Longs, num_buckets: int) -> BucketGroup:
    array = bucket_dtype(num_buckets)
    whole = reader.ends[rows] - tails == NUM_ARRAYS * array.itemsize
    reader.good[rows[~whole]] = False
    rows, tails = rows[whole], tails[whole]
    arrays = reader.take(tails, NUM_ARRAYS * array.itemsize).view(array).reshape(len(rows), NUM_ARRAYS)
    plain = (arrays["count"] == count_bytes(num_buckets)).all(axis=(1, 2)) & (arrays["end"] == 0).all(axis=1)
    if not plain.all():
        reader.good[rows[~plain]] = False
        rows, arrays = rows[plain], arrays[plain]
    return BucketGroup(rows, np.ascontiguousarray(arrays["values"]))
