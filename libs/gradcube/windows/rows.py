"""The rows that windows and detectors read, as columns: step records here, the other kinds in `side_rows`.

Decoded batches come in; the same columns go out to the partials topic and come back from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gradcube.events import COUNT_FIELDS, FLOAT_FIELDS, StepBatch
from gradcube.windows.columns import BoolArray, IntArray, Table
from gradcube.windows.side_rows import RESOURCE_FLOATS, SERVER_FLOATS, EvaluationRows, ResourceRows, ServerRows

__all__ = ["RESOURCE_FLOATS", "SERVER_FLOATS", "EvaluationRows", "ResourceRows", "ServerRows", "StepRows"]


@dataclass(frozen=True)
class StepRows(Table):
    """Step records of one job; every column has one entry a record.

    `counts` is (rows, 8) in the order of COUNT_FIELDS with MISSING for null, `floats` (rows, 13) in that of
    FLOAT_FIELDS with NaN for null. `appended_at_micros` is the broker's clock, `ended_at_micros` the rank's own.
    """

    DTYPES: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "attempt": "<i4", "rank": "<i4", "stage": "<i4", "replica": "<i4", "node": "O", "step": "<i8", "seq": "<i8",
            "dropped": "<i8", "ended_at_micros": "<i8", "appended_at_micros": "<i8", "offset": "<i8", "counts": "<i8",
            "floats": "<f4", "bucket_absmax": "<f4",
        }
    )  # fmt: skip
    MATRICES: ClassVar[Mapping[str, Any]] = MappingProxyType({"counts": COUNT_FIELDS, "floats": FLOAT_FIELDS})

    job: str
    attempt: NDArray[np.int32]
    rank: NDArray[np.int32]
    stage: NDArray[np.int32]
    replica: NDArray[np.int32]
    node: NDArray[np.object_]
    step: IntArray
    seq: IntArray
    dropped: IntArray
    ended_at_micros: IntArray
    appended_at_micros: IntArray
    offset: IntArray
    counts: IntArray
    floats: NDArray[np.float32]
    bucket_absmax: NDArray[np.float32]

    @classmethod
    def from_batch(
        cls,
        batch: StepBatch,
        job: str,
        mask: BoolArray | IntArray,
        offsets: IntArray,
        appended_at_micros: IntArray,
    ) -> Self:
        """The records of `batch` that `mask` picks, all of `job`.

        `offsets` and `appended_at_micros` are those of every record of the batch, (len(batch),).
        """
        at = np.flatnonzero(mask) if np.asarray(mask).dtype == np.bool_ else np.asarray(mask)
        own = {
            name: getattr(batch, name)[at]
            for name in cls.DTYPES
            if name not in ("appended_at_micros", "offset", "bucket_absmax")
        }
        return cls(
            job=job,
            offset=np.asarray(offsets, np.int64)[at],
            appended_at_micros=np.asarray(appended_at_micros, np.int64)[at],
            bucket_absmax=batch.bucket_absmax()[at],
            **own,
        )
