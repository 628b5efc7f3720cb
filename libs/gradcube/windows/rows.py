"""The rows that windows and detectors read, as columns: step records, resource samples, server updates.

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

RESOURCE_FLOATS = (
    "cpu_utilization_ratio", "memory_used_bytes", "gpu_utilization_ratio", "gpu_memory_used_bytes",
    "gpu_power_watts", "gpu_temperature_celsius", "gpu_sm_clock_hertz", "gpu_pcie_sent_bytes_per_second",
    "gpu_pcie_received_bytes_per_second", "network_sent_bytes_per_second",
    "network_received_bytes_per_second", "disk_read_bytes_per_second", "disk_written_bytes_per_second",
    "cgroup_cpu_throttled_seconds_total", "gpu_throttle_reasons",
)  # fmt: skip
"""Fields of ResourceSample that are kept; NaN stands for null."""

SERVER_FLOATS = ("apply_seconds", "queue_depth", "arrival_spread_seconds", "staleness_max", "pushed_bytes")


def _read_only(entries: dict[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(entries)


@dataclass(frozen=True)
class StepRows(Table):
    """Step records of one job; every column has one entry a record.

    `counts` is (rows, 8) in the order of COUNT_FIELDS with MISSING for null, `floats` (rows, 13) in that of
    FLOAT_FIELDS with NaN for null. `appended_at_micros` is the broker's clock, `ended_at_micros` the rank's own.
    """

    DTYPES: ClassVar[Mapping[str, str]] = _read_only(
        {
            "attempt": "<i4", "rank": "<i4", "stage": "<i4", "replica": "<i4", "node": "O", "step": "<i8", "seq": "<i8",
            "dropped": "<i8", "ended_at_micros": "<i8", "appended_at_micros": "<i8", "offset": "<i8", "counts": "<i8",
            "floats": "<f4", "bucket_absmax": "<f4",
        }
    )  # fmt: skip
    MATRICES: ClassVar[Mapping[str, Any]] = _read_only({"counts": COUNT_FIELDS, "floats": FLOAT_FIELDS})

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


@dataclass(frozen=True)
class ResourceRows(Table):
    """Resource samples that concern one job; `floats` is (rows, len(RESOURCE_FLOATS)), NaN for null.

    `rank` and `attempt` are -1 where the sample belongs to the whole node.
    """

    DTYPES: ClassVar[Mapping[str, str]] = _read_only(
        {
            "attempt": "<i4", "rank": "<i4", "node": "O", "device": "O", "ended_at_micros": "<i8",
            "appended_at_micros": "<i8", "offset": "<i8", "floats": "<f8",
        }
    )  # fmt: skip
    MATRICES: ClassVar[Mapping[str, Any]] = _read_only({"floats": RESOURCE_FLOATS})

    job: str
    attempt: NDArray[np.int32]
    rank: NDArray[np.int32]
    node: NDArray[np.object_]
    device: NDArray[np.object_]
    ended_at_micros: IntArray
    appended_at_micros: IntArray
    offset: IntArray
    floats: NDArray[np.float64]

    @classmethod
    def from_records(
        cls, job: str, records: list[dict[str, Any]], offsets: IntArray, appended_at_micros: IntArray
    ) -> Self:
        """Decoded ResourceSample records as rows; `offsets` and `appended_at_micros` are (len(records),)."""
        floats = [[_number(record[name]) for name in RESOURCE_FLOATS] for record in records]
        return cls(
            job=job,
            attempt=np.array([_place(record["attempt"]) for record in records], np.int32),
            rank=np.array([_place(record["rank"]) for record in records], np.int32),
            node=np.array([record["node"] for record in records], object),
            device=np.array([record["device"] for record in records], object),
            ended_at_micros=np.array([record["sampled_at"] for record in records], np.int64),
            appended_at_micros=np.asarray(appended_at_micros, np.int64),
            offset=np.asarray(offsets, np.int64),
            floats=np.array(floats, np.float64).reshape(len(records), len(RESOURCE_FLOATS)),
        )


@dataclass(frozen=True)
class ServerRows(Table):
    """Applied versions of one job's shards; `floats` is (rows, len(SERVER_FLOATS))."""

    DTYPES: ClassVar[Mapping[str, str]] = _read_only(
        {
            "attempt": "<i4", "shard": "<i4", "node": "O", "version": "<i8", "ended_at_micros": "<i8",
            "appended_at_micros": "<i8", "offset": "<i8", "floats": "<f8",
        }
    )  # fmt: skip
    MATRICES: ClassVar[Mapping[str, Any]] = _read_only({"floats": SERVER_FLOATS})

    job: str
    attempt: NDArray[np.int32]
    shard: NDArray[np.int32]
    node: NDArray[np.object_]
    version: IntArray
    ended_at_micros: IntArray
    appended_at_micros: IntArray
    offset: IntArray
    floats: NDArray[np.float64]

    @classmethod
    def from_records(
        cls, job: str, records: list[dict[str, Any]], offsets: IntArray, appended_at_micros: IntArray
    ) -> Self:
        """Decoded ServerSync records as rows; `offsets` and `appended_at_micros` are (len(records),)."""
        return cls(
            job=job,
            attempt=np.array([record["attempt"] for record in records], np.int32),
            shard=np.array([record["shard"] for record in records], np.int32),
            node=np.array([record["node"] for record in records], object),
            version=np.array([record["version"] for record in records], np.int64),
            ended_at_micros=np.array([record["ended_at"] for record in records], np.int64),
            appended_at_micros=np.asarray(appended_at_micros, np.int64),
            offset=np.asarray(offsets, np.int64),
            floats=np.array([_server_floats(record) for record in records], np.float64).reshape(
                len(records), len(SERVER_FLOATS)
            ),
        )


def _server_floats(record: Mapping[str, Any]) -> list[float]:
    return [
        record["apply_seconds"],
        record["queue_depth"],
        max(record["arrival_seconds"], default=float("nan")),
        max(record["staleness"], default=float("nan")),
        float(sum(record["bytes"])),
    ]


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _place(value: int | None) -> int:
    return -1 if value is None else int(value)
