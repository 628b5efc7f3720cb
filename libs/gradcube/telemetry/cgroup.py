"""A process's cgroups: what its container may use, how long it was held back (cgroup v2), and whose pod it is."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from gradcube.telemetry.counters import read

CGROUP_ROOT = Path("/sys/fs/cgroup")
POD = re.compile(r"[/-]pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})[./\n]")
"""The kubelet's folder of a pod, by either driver; 32 digits without a dash are a static pod's."""
N = TypeVar("N", int, float)


@dataclass(frozen=True)
class CgroupLimits:
    """None where there is no limit, no such file, or no cgroup v2."""

    cpu_limit_cores: float | None = None
    memory_limit_bytes: int | None = None
    cpu_throttled_seconds_total: float | None = None


def read_cgroup(pid: int, *, proc: Path = Path("/proc"), root: Path = CGROUP_ROOT) -> CgroupLimits:
    """The limits that hold for the process: the tightest of its cgroup and those above it.

    Throttled time is that of the cgroup that was held back longest: the quota may be the container's or the pod's.
    """
    own = read(lambda: _folder(proc / str(pid) / "cgroup", root))
    if own is None:
        return CgroupLimits()
    folders = [own, *(folder for folder in own.parents if folder.is_relative_to(root))]
    return CgroupLimits(
        cpu_limit_cores=min(_present(folders, _cpu_limit_cores), default=None),
        memory_limit_bytes=min(_present(folders, _memory_limit_bytes), default=None),
        cpu_throttled_seconds_total=max(_present(folders, _throttled_seconds), default=None),
    )


def pod_uid(pid: int, *, proc: Path = Path("/proc")) -> str | None:
    """UID of the Kubernetes pod that the process is in; None for no pod, and for the one that this process is in.

    The name of a pod is known to the API server alone.
    """
    text = read(lambda: (proc / str(pid) / "cgroup").read_text())
    found = POD.search(f"{text}\n")
    return None if found is None else found[1].replace("_", "-")


def _folder(file: Path, root: Path) -> Path | None:
    for line in file.read_text().splitlines():
        if line.startswith("0::"):
            # "/../x" is a cgroup outside our own namespace: its files are not ours to see.
            return None if "/../" in f"{line}/" else root / line[3:].lstrip("/")
    return None


def _present(folders: list[Path], number: Callable[[Path], N | None]) -> Iterator[N]:
    for folder in folders:
        value = read(partial(number, folder))
        if value is not None:
            yield value


def _cpu_limit_cores(folder: Path) -> float | None:
    quota, period = (folder / "cpu.max").read_text().split()
    return None if quota == "max" else int(quota) / int(period)


def _memory_limit_bytes(folder: Path) -> int | None:
    text = (folder / "memory.max").read_text().strip()
    return None if text == "max" else int(text)


def _throttled_seconds(folder: Path) -> float | None:
    fields = dict(line.split() for line in (folder / "cpu.stat").read_text().splitlines())
    return int(fields["throttled_usec"]) / 1e6
