"""Samples of hosts, processes and GPUs as the agent sends them, and what a gateway of each engine makes of them."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fastavro
from kafka import KafkaProducer
from tests.integration.cube.gateway_process import GatewayProcess
from tests.kylin.both import HELD, counted, deploy, server_url
from tests.waiting import wait_until

from gradcube.bus.local_broker import LocalBroker
from gradcube.bus.topics import apply_topics, load_topics
from gradcube.events import encode, frame, registry
from gradcube.kylin.accounts import GATEWAY, password_file
from gradcube.settings import KafkaSettings

TOPIC = "gradcube.resources"
HOUR_MICROS = 3_600_000_000
Sample = dict[str, Any]


def sample(number: int, first_micros: int) -> Sample:
    """The `number`-th, 4 s apart: a host in no job, a process in a pod, a GPU without one."""
    node, rank = f"node-{number % 3}", number % 8
    at: Sample = {"node": node, "sampled_at": first_micros + 4_000_000 * number + 123_456}
    part = number % 1000 / 1000
    if number % 4 == 0:
        return at | {
            "device": "host", "cpu_utilization_ratio": part, "memory_used_bytes": 2**33 + number,
            "memory_total_bytes": 2**36, "disk_read_bytes_per_second": part * 1e6, "disk_written_bytes_per_second": 0.0,
            "network_sent_bytes_per_second": part * 3e8, "network_received_bytes_per_second": 1.5,
        }  # fmt: skip
    run = {"job": ("bert", "it's", "müller")[number % 3], "attempt": number % 2, "rank": rank}
    if number % 4 == 1:
        return at | run | {
            "pod": f"pod-{rank}", "device": f"process:{1000 + rank}", "cpu_utilization_ratio": 1 + part,
            "memory_used_bytes": 2**31 - number, "cgroup_cpu_limit_cores": 4.5, "cgroup_memory_limit_bytes": 2**34,
            "cgroup_cpu_throttled_seconds_total": part / 3,
        }  # fmt: skip
    return at | run | {
        "device": f"gpu:{rank % 4}", "gpu_utilization_ratio": part, "gpu_memory_used_bytes": 2**35 + number,
        "gpu_memory_total_bytes": 80 * 2**30, "gpu_power_watts": 300 + 100 * part, "gpu_temperature_celsius": 60 + part,
        "gpu_sm_clock_hertz": 1.755e9, "gpu_ecc_errors_total": 0, "gpu_xid_errors_total": number % 2,
        "gpu_pcie_sent_bytes_per_second": part * 1e9, "gpu_pcie_received_bytes_per_second": -part,
    }  # fmt: skip


def measured(one: Sample) -> int:
    """How many rows it becomes."""
    return len(one.keys() - {"node", "sampled_at", "device", "job", "attempt", "rank", "pod"})


def older(one: Sample) -> bytes:
    """As an agent of the first version sends it."""
    return framed(3, registry().by_id(3).parsed, one)


def framed(schema_id: int, schema: Any, one: Sample) -> bytes:
    """In a schema that need not be the latest."""
    body = io.BytesIO()
    fastavro.schemaless_writer(body, schema, one)
    return frame(schema_id, body.getvalue())


@dataclass
class Watched:
    """Both gateways, and how many samples and rows were sent."""

    embedded: GatewayProcess
    kylin: GatewayProcess
    kafka: KafkaSettings
    first_micros: int
    samples: int = 0
    rows: int = 0
    kept: list[bytes] = field(default_factory=list)

    def send(self, count: int) -> None:
        """New ones, every third in the first version, and fifty of those before once more."""
        new = [sample(number, self.first_micros) for number in range(self.samples, self.samples + count)]
        values = [older(one) if number % 3 == 0 else encode("ResourceSample", one) for number, one in enumerate(new)]
        self.produce([*values, *self.kept[-50:]])
        self.samples, self.rows = self.samples + count, self.rows + sum(map(measured, new))
        self.kept = values

    def produce(self, values: list[bytes]) -> None:
        """In one partition, so that a sample that comes twice comes to one receiver."""
        client = KafkaProducer(bootstrap_servers=self.kafka.bootstrap, linger_ms=20)
        for value in values:
            client.send(TOPIC, value=value, partition=0)
        client.flush()
        client.close()

    def wait(self, more: int = 0) -> None:
        """Until each engine has all rows; `more` than were sent by `send`."""
        for one in (self.embedded, self.kylin):
            wait_until(lambda g=one: (counted(g, "RESOURCES") or 0) >= self.rows + more, 180, "all rows are there", 0.5)

    def counts(self) -> list[int | None]:
        """Of the embedded engine and of Kylin."""
        return [counted(one, "RESOURCES") for one in (self.embedded, self.kylin)]


@contextmanager
def watched(folder: Path, directory: Path, first_micros: int) -> Iterator[Watched]:
    """FACTS and RESOURCES, empty, in both engines."""
    with LocalBroker(directory / "broker") as broker:
        kafka = KafkaSettings(bootstrap=broker.bootstrap)
        apply_topics(kafka, load_topics(), replication=1)
        deploy(folder, None, kafka, HELD)
        for name in ("embedded", "kylin"):
            (directory / name).mkdir()
        embedded = GatewayProcess(directory / "embedded", kafka)
        beside = GatewayProcess(
            directory / "kylin", kafka, kylin_url=server_url(folder), kylin_lag_records="0",
            kylin_password_file=str(password_file(folder / "kylin", GATEWAY)),
        )  # fmt: skip
        try:
            embedded.start()
            beside.start()
            yield Watched(embedded, beside, kafka, first_micros)
        finally:
            embedded.stop()
            beside.stop()
