"""StepSync records that the batch decoder could not read: one at a time through the generic codec."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradcube.errors import SchemaError
from gradcube.events.codec import decode
from gradcube.events.step_sync import (
    BUCKET_FIELDS,
    COUNT_FIELDS,
    FLOAT_FIELDS,
    MISSING,
    NAME,
    BadRecord,
    BucketGroup,
    Floats,
    Longs,
    StepBatch,
    Strings,
)


def decode_singly(values: Sequence[tuple[int, bytes | None]]) -> tuple[StepBatch, list[BadRecord]]:
    """Decodes (index, value) pairs as `decode_batch` does, slowly."""
    records: list[tuple[int, dict[str, Any]]] = []
    bad = []
    for index, value in values:
        try:
            records.append((index, _decode_one(value)))
        except SchemaError as error:
            bad.append(BadRecord(index, error))
    return _columns(np.array([index for index, _ in records], np.int64), [record for _, record in records]), bad


def merge(one: StepBatch, other: StepBatch) -> StepBatch:
    """Both batches' records in the order of `index`."""
    order = np.argsort(np.concatenate([one.index, other.index]), kind="stable")
    columns = {
        name: np.concatenate([getattr(one, name), getattr(other, name)])[order]
        for name in StepBatch.__dataclass_fields__
        if name != "bucket_groups"
    }
    moved = np.empty(len(order), np.int64)
    moved[order] = np.arange(len(order))
    parts = [BucketGroup(moved[group.rows], group.values) for group in one.bucket_groups]
    parts += [BucketGroup(moved[group.rows + len(one)], group.values) for group in other.bucket_groups]
    return StepBatch(**columns, bucket_groups=_regroup(parts))


def _decode_one(value: bytes | None) -> dict[str, Any]:
    name, record = decode(value)  # type: ignore[arg-type]
    if name != NAME:
        raise SchemaError(f"this is a {name}, the topic has {NAME} records; send it to its own topic")
    lengths = {field: len(record[field]) for field in BUCKET_FIELDS}
    if len(set(lengths.values())) != 1:
        raise SchemaError(f"{NAME}: the bucket arrays must have the same length, they have {lengths}")
    return record


def _columns(index: Longs, records: Sequence[dict[str, Any]]) -> StepBatch:
    buckets = [np.array([record[field] for field in BUCKET_FIELDS], np.float32) for record in records]
    counts = [[_count(record[field]) for field in COUNT_FIELDS] for record in records]
    floats = [[record[field] for field in FLOAT_FIELDS] for record in records]
    parts = [BucketGroup(np.array([row]), values[np.newaxis]) for row, values in enumerate(buckets)]
    return StepBatch(
        index=index,
        job=_strings([record["job"] for record in records]),
        node=_strings([record["node"] for record in records]),
        attempt=np.array([record["attempt"] for record in records], np.int32),
        rank=np.array([record["rank"] for record in records], np.int32),
        stage=np.array([record["stage"] for record in records], np.int32),
        replica=np.array([record["replica"] for record in records], np.int32),
        step=np.array([record["step"] for record in records], np.int64),
        seq=np.array([record["seq"] for record in records], np.int64),
        dropped=np.array([record["dropped"] for record in records], np.int64),
        ended_at_micros=np.array([record["ended_at"] for record in records], np.int64),
        counts=np.array(counts, np.int64).reshape(-1, len(COUNT_FIELDS)),
        floats=np.array(floats, np.float32).reshape(-1, len(FLOAT_FIELDS)),
        bucket_counts=np.array([values.shape[1] for values in buckets], np.int32),
        bucket_groups=_regroup(parts),
    )


def _count(value: int | None) -> int:
    return MISSING if value is None else value


def _strings(texts: Sequence[str]) -> Strings:
    column = np.empty(len(texts), np.object_)
    column[:] = [sys.intern(text) for text in texts]
    return column


def _regroup(parts: Sequence[BucketGroup]) -> tuple[BucketGroup, ...]:
    """One group per number of buckets, rows ascending."""
    by_number: dict[int, list[BucketGroup]] = {}
    for part in parts:
        by_number.setdefault(part.values.shape[2], []).append(part)
    return tuple(_join(by_number[number]) for number in sorted(by_number))


def _join(parts: Sequence[BucketGroup]) -> BucketGroup:
    rows = np.concatenate([part.rows for part in parts])
    values: Floats = np.concatenate([part.values for part in parts])
    order = np.argsort(rows)
    return BucketGroup(rows[order], values[order])
