"""Counters of NVIDIA GPUs. In: NVML, if there is a driver. Out: the gpu_* fields of ResourceSample."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from gradcube.telemetry.counters import read

MAX_EVENTS_PER_SAMPLE = 64


@dataclass(frozen=True)
class GpuReading:
    """One GPU: its `fields` (name -> value or None) and the processes that compute on it, as host pids."""

    index: int
    fields: dict[str, Any]
    pids: frozenset[int]


class GpuReader:
    """The GPUs of this machine; none without a driver. `nvml` is pynvml, or what a test puts in its place."""

    def __init__(self, nvml: Any = None) -> None:
        self._nvml: Any = read(lambda: import_module("pynvml")) if nvml is None else nvml
        self._on = self._nvml is not None and read(lambda: (self._nvml.nvmlInit(), True)) is not None
        self._xids: dict[int, _XidCounter] = {}

    def sample(self) -> list[GpuReading]:
        """One reading a GPU, also of one that answers nothing any more."""
        count = read(lambda: int(self._nvml.nvmlDeviceGetCount())) if self._on else 0
        return [self._read(index) for index in range(count or 0)]

    def close(self) -> None:
        """Lets go of the driver."""
        if self._on:
            self._on = False
            read(lambda: self._nvml.nvmlShutdown())

    def _read(self, index: int) -> GpuReading:
        nvml = self._nvml
        # Asked for every time: a GPU that fell off the bus and came back has another handle.
        handle = read(lambda: nvml.nvmlDeviceGetHandleByIndex(index))
        if handle is None:
            return GpuReading(index, {}, frozenset())
        fields = {name: read(lambda counter=counter: counter(nvml, handle)) for name, counter in _COUNTERS.items()}  # type: ignore[misc]
        xids = self._xids.setdefault(index, _XidCounter(nvml, handle))
        fields["gpu_xid_errors_total"] = xids.total()
        pids = read(lambda: frozenset(p.pid for p in nvml.nvmlDeviceGetComputeRunningProcesses(handle)))
        return GpuReading(index, fields, pids or frozenset())


class _XidCounter:
    """XID errors of one GPU since this was made; NVML reports them as events and keeps no total."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml = nvml
        self._total = 0
        self._events = read(lambda: self._register(handle))

    def total(self) -> int | None:
        """None where the device has no such events."""
        if self._events is None:
            return None
        for _ in range(MAX_EVENTS_PER_SAMPLE):
            if read(lambda: self._nvml.nvmlEventSetWait_v2(self._events, 0)) is None:
                break  # a time-out is an error in NVML: nothing more has happened
            self._total += 1
        return self._total

    def _register(self, handle: Any) -> Any:
        events = self._nvml.nvmlEventSetCreate()
        self._nvml.nvmlDeviceRegisterEvents(handle, self._nvml.nvmlEventTypeXidCriticalError, events)
        return events


def _clock_reasons(nvml: Any, handle: Any) -> int:
    newer = getattr(nvml, "nvmlDeviceGetCurrentClocksEventReasons", None)
    reasons = read(lambda: newer(handle)) if newer else None  # the same mask under its name before driver 535:
    return int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle) if reasons is None else reasons)


_COUNTERS: dict[str, Callable[[Any, Any], float | int]] = {
    "gpu_utilization_ratio": lambda nvml, gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100,
    "gpu_memory_used_bytes": lambda nvml, gpu: int(nvml.nvmlDeviceGetMemoryInfo(gpu).used),
    "gpu_memory_total_bytes": lambda nvml, gpu: int(nvml.nvmlDeviceGetMemoryInfo(gpu).total),
    "gpu_power_watts": lambda nvml, gpu: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000,
    "gpu_temperature_celsius": lambda nvml, gpu: float(nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU)),
    "gpu_sm_clock_hertz": lambda nvml, gpu: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM) * 1e6,
    "gpu_throttle_reasons": _clock_reasons,
    "gpu_ecc_errors_total": lambda nvml, gpu: int(
        nvml.nvmlDeviceGetTotalEccErrors(gpu, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC)
    ),
    # NVML measures these over 20 ms and answers in kB/s.
    "gpu_pcie_sent_bytes_per_second": lambda nvml, gpu: (
        nvml.nvmlDeviceGetPcieThroughput(gpu, nvml.NVML_PCIE_UTIL_TX_BYTES) * 1e3
    ),
    "gpu_pcie_received_bytes_per_second": lambda nvml, gpu: (
        nvml.nvmlDeviceGetPcieThroughput(gpu, nvml.NVML_PCIE_UTIL_RX_BYTES) * 1e3
    ),
}
