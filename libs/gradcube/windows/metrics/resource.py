"""Resource use, of a rank's process or device, of a node, and of a job over its ranks."""

import numpy as np

from gradcube.windows.metrics.declare import Measures, Metric, mean, single
from gradcube.windows.views import View

_KINDS = ("job", "rank", "node")
_UNITS = {
    "cpu_utilization_ratio": "ratio",
    "memory_used_bytes": "bytes",
    "gpu_utilization_ratio": "ratio",
    "gpu_memory_used_bytes": "bytes",
    "gpu_power_watts": "watts",
    "gpu_temperature_celsius": "degrees Celsius",
    "gpu_sm_clock_hertz": "hertz",
    "gpu_pcie_sent_bytes_per_second": "bytes per second",
    "gpu_pcie_received_bytes_per_second": "bytes per second",
    "network_sent_bytes_per_second": "bytes per second",
    "network_received_bytes_per_second": "bytes per second",
    "disk_read_bytes_per_second": "bytes per second",
    "disk_written_bytes_per_second": "bytes per second",
}
_RATIOS = {
    "gpu_memory_used_ratio": "gpu_memory_used_bytes / gpu_memory_total_bytes of each sample",
    "memory_used_ratio": "memory_used_bytes / memory_total_bytes of each sample",
    "memory_limit_ratio": "memory_used_bytes / cgroup_memory_limit_bytes of each sample",
    "gpu_throttled_ratio": "share of samples with a gpu_throttle_reasons bit that slows the clock (NVML)",
    "gpu_thermal_throttled_ratio": "share of samples with a thermal gpu_throttle_reasons bit, 0x20 or 0x40",
    "gpu_power_throttled_ratio": "share of samples with a power gpu_throttle_reasons bit, 0x4 or 0x80",
}
_ERRORS = {
    "gpu_ecc_errors_total": "ResourceSample.gpu_ecc_errors_total: uncorrected memory errors since boot",
    "gpu_xid_errors_total": "ResourceSample.gpu_xid_errors_total: XID errors seen by the sampler",
}


def _level(name: str, source: str) -> Metric:
    def compute(view: View) -> Measures:
        most = view.most(name)
        return Measures(most, most, view.least(name), most, np.minimum(view.samples(name), 1))

    return Metric(
        name, "resource", "count", _KINDS, "greatest; of a node or job that of the device with the most", source, name,
        compute,
    )  # fmt: skip


def _cpu_throttled(view: View) -> Measures:
    name = "cgroup_cpu_throttled_seconds_total"
    seconds = np.where(view.ranks.samples(name) > 1, view.ranks.most(name) - view.ranks.least(name), np.nan)
    return single(view.greatest(seconds) / view.window_seconds)


METRICS = (
    *(mean(name, "resource", unit, f"ResourceSample.{name}", _KINDS) for name, unit in _UNITS.items()),
    *(mean(name, "resource", "ratio", f"ResourceSample: {source}", _KINDS) for name, source in _RATIOS.items()),
    *(_level(name, source) for name, source in _ERRORS.items()),
    Metric(
        "cpu_throttled_ratio", "resource", "ratio", _KINDS,
        "(last - first sample of the counter) / window seconds; of a job its worst rank's",
        "ResourceSample.cgroup_cpu_throttled_seconds_total", "cgroup_cpu_throttled_seconds_total", _cpu_throttled,
    ),
)  # fmt: skip
