"""`ResourceSampler`: what a machine, its GPUs and the processes of ranks use, as ResourceSample records.

In: /proc, cgroup v2 and NVML, read when asked. Out: one dict a subject, for `gradcube.events.encode`. Without torch.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from gradcube.telemetry.cgroup import pod_uid
from gradcube.telemetry.counters import read
from gradcube.telemetry.gpus import GpuReader, GpuReading
from gradcube.telemetry.processes import HostReader, ProcessReader


@dataclass(frozen=True)
class RankProcess:
    """A rank's process on this machine."""

    pid: int
    job: str
    attempt: int
    rank: int


class ResourceSampler:
    """Samples one node. A counter that does not exist is None; nothing here raises.

        sampler = ResourceSampler("node-1")
        records = sampler.sample([RankProcess(pid=4711, job="bert", attempt=0, rank=3)])

    Rates are those between two samples of the same subject: None in its first one.
    """

    def __init__(
        self, node: str, *, gpus: GpuReader | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._node = node
        self._gpus = gpus or GpuReader()
        self._clock = clock
        self._host = HostReader()
        self._processes: dict[RankProcess, ProcessReader] = {}

    def sample(self, ranks: Iterable[RankProcess] = ()) -> list[dict[str, Any]]:
        """Host, GPUs and the given processes. A process that has ended has no record, and is forgotten."""
        known = list(ranks)
        self._processes = {process: reader for process, reader in self._processes.items() if process in known}
        processes = [self.sample_process(each) for each in known]
        return [self.sample_host(), *self.sample_gpus(known), *(record for record in processes if record)]

    def sample_host(self) -> dict[str, Any]:
        """The machine: CPU as a share of all cores, memory, disks, and network without the loopback."""
        return self._record("host", self._host.fields(self._clock()))

    def sample_process(self, process: RankProcess) -> dict[str, Any] | None:
        """One rank's process: CPU in cores, resident memory, disk, its cgroup's limits. None when it is gone."""
        reader = self._processes.get(process) or read(lambda: ProcessReader(process.pid))
        fields = None if reader is None else reader.fields(self._clock())
        if reader is None or fields is None:
            self._processes.pop(process, None)
            return None
        self._processes[process] = reader
        return self._record(f"process:{process.pid}", fields | _owner(process) | {"pod": pod_uid(process.pid)})

    def sample_gpus(self, ranks: Iterable[RankProcess] = ()) -> list[dict[str, Any]]:
        """One record a GPU. It carries a rank's name when that rank alone of `ranks` computes on it; so with a pod."""
        known = list(ranks)
        return [
            self._record(f"gpu:{gpu.index}", gpu.fields | _sole_owner(gpu, known) | {"pod": _sole_pod(gpu)})
            for gpu in self._gpus.sample()
        ]

    def close(self) -> None:
        """Lets go of the GPU driver."""
        self._gpus.close()

    def _record(self, device: str, fields: dict[str, Any]) -> dict[str, Any]:
        return {"node": self._node, "device": device, "sampled_at": time.time_ns() // 1000, **fields}


def resource_key(record: dict[str, Any]) -> bytes:
    """Key of the record in Kafka: node/device."""
    return f"{record['node']}/{record['device']}".encode()


def _sole_owner(gpu: GpuReading, ranks: list[RankProcess]) -> dict[str, Any]:
    owners = [process for process in ranks if process.pid in gpu.pids]
    return _owner(owners[0]) if len(owners) == 1 else {}


def _sole_pod(gpu: GpuReading) -> str | None:
    pods = {pod_uid(pid) for pid in gpu.pids}
    return pods.pop() if len(pods) == 1 else None


def _owner(process: RankProcess) -> dict[str, Any]:
    return {"job": process.job, "attempt": process.attempt, "rank": process.rank}
