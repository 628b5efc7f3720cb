"""Resource use, of a rank's process or device, and of a node."""

from gradcube.windows.metrics.declare import mean

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

METRICS = tuple(
    mean(name, "resource", unit, f"ResourceSample.{name}", ("rank", "node")) for name, unit in _UNITS.items()
)
