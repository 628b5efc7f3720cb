"""StepSync as columns: the names of its fields in the schema's order, who sends it, and a decoded batch.

`step_sync_encode` makes the records in a training process, `step_sync_decode` reads them in batches.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcube.errors import SchemaError

NAME = "StepSync"
COUNT_FIELDS = (
    "nonfinite",
    "version",
    "staleness",
    "correct",
    "predicted",
    "tokens",
    "samples",
    "batch_size",
)
"""In the schema's order; `nonfinite` is never null."""
FLOAT_FIELDS = (
    "step_seconds",
    "data_seconds",
    "forward_seconds",
    "backward_seconds",
    "sync_wait_seconds",
    "optimizer_seconds",
    "cpu_seconds",
    "loss",
    "grad_norm",
    "global_grad_norm",
    "update_norm",
    "param_norm",
    "learning_rate",
)
"""In the schema's order; NaN where there is no value."""
BUCKET_FIELDS = (
    "bucket_bytes",
    "bucket_ready_seconds",
    "bucket_sent_seconds",
    "bucket_received_seconds",
    "bucket_grad_norm",
    "bucket_grad_mean",
    "bucket_grad_var",
    "bucket_grad_absmax",
)
"""The rows of a record's buckets, in the schema's order."""
MISSING = -1
"""A null count in a column."""

Longs = NDArray[np.int64]
Ints = NDArray[np.int32]
Floats = NDArray[np.float32]
Strings = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class StepIdentity:
    """Who sends: `StepIdentity("bert", attempt=0, rank=2, node="node-a")`."""

    job: str
    attempt: int
    rank: int
    node: str
    stage: int = 0
    replica: int = 0


@dataclass(frozen=True)
class BadRecord:
    """A value of the batch that is no StepSync: its position in the input, and why."""

    index: int
    error: SchemaError


@dataclass(frozen=True, eq=False)
class BucketGroup:
    """The records of a batch that have the same number n of buckets.

    `rows` (g,) are their positions in the StepBatch, ascending; `values` is (g, 8, n), rows as in
    BUCKET_FIELDS.
    """

    rows: Longs
    values: Floats


@dataclass(frozen=True, eq=False)
class StepBatch:
    """The k records of a batch that could be read, in the order of the input.

    `index` is each one's position in the input. `counts` is (k, 8) with MISSING for null, `floats` (k, 13)
    with NaN for what was not measured, columns as in COUNT_FIELDS and FLOAT_FIELDS; the rest is (k,). Equal
    strings are the same object. Times are microseconds since the epoch.
    """

    index: Longs
    job: Strings
    node: Strings
    attempt: Ints
    rank: Ints
    stage: Ints
    replica: Ints
    step: Longs
    seq: Longs
    dropped: Longs
    ended_at_micros: Longs
    counts: Longs
    floats: Floats
    bucket_counts: Ints
    bucket_groups: tuple[BucketGroup, ...]

    def __len__(self) -> int:
        return len(self.index)

    def bucket_values(self, i: int) -> Floats:
        """(8, n) of record `i`; whole batches go faster over `bucket_groups`."""
        for group in self.bucket_groups:
            if group.values.shape[2] == self.bucket_counts[i]:
                values: Floats = group.values[np.searchsorted(group.rows, i % len(self))]
                return values
        raise AssertionError("every record is in the group of its bucket count")

    def bucket_absmax(self) -> Floats:
        """(k,) largest magnitude of each record's gradient; NaN without buckets or with a NaN among them."""
        absmax = np.full(len(self), np.nan, np.float32)
        for group in self.bucket_groups:
            if group.values.shape[2]:
                absmax[group.rows] = group.values[:, BUCKET_FIELDS.index("bucket_grad_absmax")].max(axis=1)
        return absmax


def check_schema(parsed: Any) -> None:
    """Raises SchemaError unless the schema's fields are the ones that the hot path is written for."""
    names = tuple(field["name"] for field in parsed["fields"])
    identity = ("job", "attempt", "rank", "node", "stage", "replica")
    wanted = (*identity, "step", "seq", "dropped", "ended_at", *COUNT_FIELDS, *FLOAT_FIELDS, *BUCKET_FIELDS)
    if names != wanted:
        odd = sorted(set(names) ^ set(wanted)) or "the order"
        raise SchemaError(f"the StepSync codec is written for other fields ({odd}); change it with the schema")
