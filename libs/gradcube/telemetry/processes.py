"""Counters of the host and of single processes. In: psutil. Out: the fields of ResourceSample that are not a GPU's."""

from typing import Any

import psutil

from gradcube.telemetry.cgroup import read_cgroup
from gradcube.telemetry.counters import Rates, read

NO_NETWORK = ("lo", "lo0")


class HostReader:
    """The whole machine, as the kernel shows it to this process. `now` is monotonic, in seconds."""

    def __init__(self) -> None:
        self._rates = Rates()

    def fields(self, now: float) -> dict[str, Any]:
        """Rates are None at the first call."""
        rate = self._rates.per_second
        memory = read(psutil.virtual_memory)
        disks = read(psutil.disk_io_counters)  # None as well where there is no disk
        busy, total = read(_cpu_seconds) or (None, None)
        busy_rate, total_rate = rate("busy", busy, now), rate("total", total, now)
        sent, received = read(_network_bytes) or (None, None)
        return {
            "cpu_utilization_ratio": None if busy_rate is None or not total_rate else min(1.0, busy_rate / total_rate),
            "memory_used_bytes": None if memory is None else memory.used,
            "memory_total_bytes": None if memory is None else memory.total,
            "disk_read_bytes_per_second": rate("read", None if disks is None else disks.read_bytes, now),
            "disk_written_bytes_per_second": rate("written", None if disks is None else disks.write_bytes, now),
            "network_sent_bytes_per_second": rate("sent", sent, now),
            "network_received_bytes_per_second": rate("received", received, now),
        }


class ProcessReader:
    """One process, from the moment at which this is made. Another one that gets its pid later is not taken for it.

    Raises psutil.Error where there is no such process.
    """

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._rates = Rates()

    def fields(self, now: float) -> dict[str, Any] | None:
        """None when the process has ended; single counters are None where they are not ours to read."""
        process, rate = self._process, self._rates.per_second
        if not read(lambda: process.is_running() and process.status() != psutil.STATUS_ZOMBIE):
            return None
        cpu = read(process.cpu_times)
        disk = read(lambda: process.io_counters())  # not on every platform; of one's own processes only
        limits = read_cgroup(process.pid)
        return {
            "cpu_utilization_ratio": rate("cpu", None if cpu is None else cpu.user + cpu.system, now),
            "memory_used_bytes": read(lambda: process.memory_info().rss),
            "disk_read_bytes_per_second": rate("read", None if disk is None else disk.read_bytes, now),
            "disk_written_bytes_per_second": rate("written", None if disk is None else disk.write_bytes, now),
            "cgroup_cpu_limit_cores": limits.cpu_limit_cores,
            "cgroup_memory_limit_bytes": limits.memory_limit_bytes,
            "cgroup_cpu_throttled_seconds_total": limits.cpu_throttled_seconds_total,
        }


def _cpu_seconds() -> tuple[float, float]:
    times = psutil.cpu_times()._asdict()
    # The kernel counts guests' time in user's and nice's already.
    total = sum(times.values()) - times.get("guest", 0.0) - times.get("guest_nice", 0.0)
    return total - times["idle"] - times.get("iowait", 0.0), total


def _network_bytes() -> tuple[int, int]:
    cards = [card for name, card in psutil.net_io_counters(pernic=True).items() if name not in NO_NETWORK]
    return sum(card.bytes_sent for card in cards), sum(card.bytes_recv for card in cards)
