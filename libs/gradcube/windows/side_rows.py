"""The rows beside the step records, as columns: resource samples, server updates, evaluations.

Decoded records come in; the same columns go out to the partials topic and come back from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gradcube.windows.columns import IntArray, Table
from gradcube.windows.reach import REACH_FLOATS, reach_floats

_LATER_RESOURCES = (
    "gpu_memory_total_bytes", "memory_total_bytes", "gpu_ecc_errors_total", "gpu_xid_errors_total",
    "cgroup_memory_limit_bytes",
)  # fmt: skip
RESOURCE_FIELDS = (
    "cpu_utilization_ratio", "memory_used_bytes", "gpu_utilization_ratio", "gpu_memory_used_bytes",
    "gpu_power_watts", "gpu_temperature_celsius", "gpu_sm_clock_hertz", "gpu_pcie_sent_bytes_per_second",
    "gpu_pcie_received_bytes_per_second", "network_sent_bytes_per_second",
    "network_received_bytes_per_second", "disk_read_bytes_per_second", "disk_written_bytes_per_second",
    "cgroup_cpu_throttled_seconds_total", "gpu_throttle_reasons", *_LATER_RESOURCES,
)  # fmt: skip
"""Fields of ResourceSample that are kept as they are; NaN stands for null."""
RESOURCE_FLOATS = (*RESOURCE_FIELDS, *REACH_FLOATS)

_LATER_SERVERS = ("pushes", "dropped_updates", "stale_updates")
SERVER_FLOATS = (
    "apply_seconds", "queue_depth", "arrival_spread_seconds", "staleness_max", "pushed_bytes", *_LATER_SERVERS
)  # fmt: skip


@dataclass(frozen=True)
class ResourceRows(Table):
    """Resource samples that concern one job; `floats` is (rows, len(RESOURCE_FLOATS)), NaN for null.

    `rank` and `attempt` are -1 where the sample belongs to the whole node.
    """

    DTYPES: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "attempt": "<i4", "rank": "<i4", "node": "O", "device": "O", "ended_at_micros": "<i8",
            "appended_at_micros": "<i8", "offset": "<i8", "floats": "<f8",
        }
    )  # fmt: skip
    MATRICES: ClassVar[Mapping[str, Any]] = MappingProxyType({"floats": RESOURCE_FLOATS})
    ADDED: ClassVar[frozenset[str]] = frozenset((*_LATER_RESOURCES, *REACH_FLOATS))

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
        floats = [
            [*(_number(record[name]) for name in RESOURCE_FIELDS), *reach_floats(record["reach"])] for record in records
        ]
        return cls(
            **_shared(job, records, "sampled_at", offsets, appended_at_micros),
            rank=np.array([_place(record["rank"]) for record in records], np.int32),
            node=np.array([record["node"] for record in records], object),
            device=np.array([record["device"] for record in records], object),
            floats=np.array(floats, np.float64).reshape(len(records), len(RESOURCE_FLOATS)),
        )


@dataclass(frozen=True)
class ServerRows(Table):
    """Applied versions of one job's shards; `floats` is (rows, len(SERVER_FLOATS))."""

    DTYPES: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "attempt": "<i4", "shard": "<i4", "node": "O", "version": "<i8", "ended_at_micros": "<i8",
            "appended_at_micros": "<i8", "offset": "<i8", "floats": "<f8",
        }
    )  # fmt: skip
    MATRICES: ClassVar[Mapping[str, Any]] = MappingProxyType({"floats": SERVER_FLOATS})
    ADDED: ClassVar[frozenset[str]] = frozenset(_LATER_SERVERS)

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
            **_shared(job, records, "ended_at", offsets, appended_at_micros),
            shard=np.array([record["shard"] for record in records], np.int32),
            node=np.array([record["node"] for record in records], object),
            version=np.array([record["version"] for record in records], np.int64),
            floats=np.array([_server_floats(record) for record in records], np.float64).reshape(
                len(records), len(SERVER_FLOATS)
            ),
        )


@dataclass(frozen=True)
class EvaluationRows(Table):
    """Measured qualities of one job's checkpoints: one metric of one dataset a row."""

    DTYPES: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "attempt": "<i4", "step": "<i8", "dataset": "O", "metric": "O", "value": "<f8", "samples": "<i8",
            "ended_at_micros": "<i8", "appended_at_micros": "<i8", "offset": "<i8",
        }
    )  # fmt: skip
    MATRICES: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    job: str
    attempt: NDArray[np.int32]
    step: IntArray
    dataset: NDArray[np.object_]
    metric: NDArray[np.object_]
    value: NDArray[np.float64]
    samples: IntArray
    ended_at_micros: IntArray
    appended_at_micros: IntArray
    offset: IntArray

    @classmethod
    def from_records(
        cls, job: str, records: list[dict[str, Any]], offsets: IntArray, appended_at_micros: IntArray
    ) -> Self:
        """Decoded Evaluation records as rows; `offsets` and `appended_at_micros` are (len(records),)."""
        return cls(
            **_shared(job, records, "ended_at", offsets, appended_at_micros),
            step=np.array([record["step"] for record in records], np.int64),
            dataset=np.array([record["dataset"] for record in records], object),
            metric=np.array([record["metric"] for record in records], object),
            value=np.array([record["value"] for record in records], np.float64),
            samples=np.array([record["samples"] for record in records], np.int64),
        )


def _shared(
    job: str, records: list[dict[str, Any]], ended: str, offsets: IntArray, appended_at_micros: IntArray
) -> dict[str, Any]:
    """The columns that all of these have; `ended` is the field with the record's own time."""
    return {
        "job": job,
        "attempt": np.array([_place(record["attempt"]) for record in records], np.int32),
        "ended_at_micros": np.array([record[ended] for record in records], np.int64),
        "appended_at_micros": np.asarray(appended_at_micros, np.int64),
        "offset": np.asarray(offsets, np.int64),
    }


def _server_floats(record: Mapping[str, Any]) -> list[float]:
    return [
        record["apply_seconds"],
        record["queue_depth"],
        max(record["arrival_seconds"], default=float("nan")),
        max(record["staleness"], default=float("nan")),
        float(sum(record["bytes"])),
        float(len(record["rank"])),
        float(sum(record["dropped"])),
        float(sum(versions > 0 for versions in record["staleness"])),
    ]


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _place(value: int | None) -> int:
    return -1 if value is None else int(value)
