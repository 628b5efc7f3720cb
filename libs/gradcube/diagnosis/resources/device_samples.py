"""What resource samples say is wrong with a device, a process or a host, sample by sample.

Rows of samples come in; for each cause, which rows show it goes out. The causes, and where their limits come from:

- slowed_by_hardware: NVML's clock event reasons hardware slowdown, software thermal, hardware thermal, power brake. The
  power cap alone (0x4) is how a busy GPU normally runs.
- clock_below_peers: the clock of a busy GPU below `clock_ratio` of the median of the job's other busy GPUs. Boost
  clocks of healthy GPUs at their power cap differ by a few per cent.
- cpu_limited: CPU time withheld by the cgroup, in seconds a second.
- hot: `hot_celsius`; data-centre GPUs begin to slow down at 87 to 92.
- memory_near_limit: of the cgroup, else of the host. A GPU's memory is not judged: caching allocators fill it.
"""

from dataclasses import dataclass

import numpy as np

from gradcube.windows.columns import BoolArray, FloatArray, IntArray
from gradcube.windows.rows import RESOURCE_FLOATS, ResourceRows

SLOWED_BITS = 0x8 | 0x20 | 0x40 | 0x80
BUSY_RATIO = 0.5
MIN_PEERS = 3
MICROS = 1_000_000


@dataclass(frozen=True)
class PressureSettings:
    """Limits of the causes, and for how long. See this module and `PressureDetector`."""

    clock_ratio: float = 0.85
    cpu_limited_ratio: float = 0.10
    hot_celsius: float = 90.0
    memory_ratio: float = 0.95
    min_samples: int = 5
    calm_seconds: float = 15.0


class DeviceSamples:
    """The places of devices, and what has to be remembered of them: the last counter and clock of each."""

    def __init__(self) -> None:
        self._place: dict[tuple[str, str], int] = {}
        self._throttled: FloatArray = np.empty(0)
        self._micros: IntArray = np.empty(0, np.int64)
        self._clock: FloatArray = np.empty(0)

    def places(self, rows: ResourceRows) -> IntArray:
        """A number for each row's device, (rows,); the same as long as the process lives."""
        names = zip(rows.node.tolist(), rows.device.tolist(), strict=True)
        places = np.array([self._place.setdefault(name, len(self._place)) for name in names], np.int64)
        missing = len(self._place) - len(self._micros)
        self._throttled = np.concatenate([self._throttled, np.full(missing, np.nan)])
        self._clock = np.concatenate([self._clock, np.full(missing, np.nan)])
        self._micros = np.concatenate([self._micros, np.zeros(missing, np.int64)])
        return places

    def values(self, rows: ResourceRows, at: IntArray) -> dict[str, FloatArray]:
        """By cause the number that is judged, (rows,), NaN where unknown. No device may be in `rows` twice."""
        reasons = np.nan_to_num(column(rows, "gpu_throttle_reasons")).astype(np.int64)
        return {
            "slowed_by_hardware": (reasons & SLOWED_BITS).astype(np.float64),
            "clock_below_peers": self._clock_ratio(rows, at),
            "cpu_limited": self._throttled_share(rows, at),
            "hot": column(rows, "gpu_temperature_celsius"),
            "memory_near_limit": _memory_share(rows),
        }

    def _clock_ratio(self, rows: ResourceRows, at: IntArray) -> FloatArray:
        busy = column(rows, "gpu_utilization_ratio") >= BUSY_RATIO
        clock = np.where(busy, column(rows, "gpu_sm_clock_hertz"), np.nan)
        self._clock[at] = clock
        known = self._clock[np.isfinite(self._clock)]
        return clock / np.median(known) if len(known) > MIN_PEERS else np.full(len(at), np.nan)

    def _throttled_share(self, rows: ResourceRows, at: IntArray) -> FloatArray:
        total, micros = column(rows, "cgroup_cpu_throttled_seconds_total"), rows.ended_at_micros
        seconds = (micros - self._micros[at]) / MICROS
        share = np.where(seconds > 0, (total - self._throttled[at]) / np.maximum(seconds, 1e-6), np.nan)
        self._throttled[at], self._micros[at] = total, micros
        return share


def outside(values: dict[str, FloatArray], settings: PressureSettings) -> dict[str, BoolArray]:
    """By cause, which rows are beyond its limit, (rows,); not where the value is unknown."""
    return {
        "slowed_by_hardware": values["slowed_by_hardware"] > 0,
        "clock_below_peers": values["clock_below_peers"] < settings.clock_ratio,
        "cpu_limited": values["cpu_limited"] > settings.cpu_limited_ratio,
        "hot": values["hot"] >= settings.hot_celsius,
        "memory_near_limit": values["memory_near_limit"] >= settings.memory_ratio,
    }


def column(rows: ResourceRows, name: str) -> FloatArray:
    """One number of each sample by its name in the schema, (rows,); NaN where it does not exist."""
    values: FloatArray = rows.floats[:, RESOURCE_FLOATS.index(name)]
    return values


def _memory_share(rows: ResourceRows) -> FloatArray:
    limit = np.fmin(column(rows, "cgroup_memory_limit_bytes"), column(rows, "memory_total_bytes"))
    limit = np.where(limit > 0, limit, np.nan)
    share: FloatArray = column(rows, "memory_used_bytes") / limit
    return share
