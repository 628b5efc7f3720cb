"""Counts and sums stay exact whatever of Kylin, or of Kafka, is killed while facts come, some of them twice."""

import os
import random
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.integration.cube.gateway_process import produce
from tests.kylin.both import deploy, server_url
from tests.kylin.conftest import nodes
from tests.unit.cube.facts import fact
from tests.waiting import wait_until

from gradcube.bus.local_broker import LocalBroker
from gradcube.bus.topics import apply_topics, load_topics
from gradcube.events.facts import encode_fact
from gradcube.kylin.accounts import ADMIN, password
from gradcube.kylin.rest import KylinError, KylinRest
from gradcube.settings import KafkaSettings

BATCH, TWICE = 3000, 40


@dataclass
class Stage:
    """Facts go in by `send`; `count, sum` come out of Kylin's own answer."""

    folder: Path
    broker: LocalBroker
    chance: random.Random = field(default_factory=lambda: random.Random(5))
    sent: dict[str, float] = field(default_factory=dict)
    windows: dict[str, int] = field(default_factory=dict)
    twice: int = TWICE

    def send(self, job: str = "bert") -> None:
        """The job's next ones, and `twice` of those sent before once more."""
        values = []
        first = self.windows.get(job, 0)
        self.windows[job] = first + BATCH
        for number in range(first, first + BATCH):
            row = fact(number, job=job, METRIC_VALUE=round(self.chance.uniform(0, 100), 3))
            self.sent[row["FACT_ID"]] = row["METRIC_VALUE"]
            values.append(encode_fact(row))
        self.kept = [*self.chance.sample(values, self.twice), *getattr(self, "kept", [])]
        again = self.kept[: 2 * self.twice]
        produce(KafkaSettings(bootstrap=self.broker.bootstrap), "gradcube.facts", values + again, 0)

    def counted(self) -> tuple[int, float] | None:
        """None while it cannot be asked."""
        with KylinRest(server_url(self.folder), ADMIN, password(self.folder / "kylin", ADMIN), 0) as rest:
            try:
                body = {"sql": "select count(*), sum(METRIC_VALUE) from FACTS_V1", "project": "gradcube"}
                [[count, total]] = rest.post("query", body)["results"]
            except KylinError:
                return None
        return int(count), float(total or 0)

    def assert_exact(self) -> None:
        """Once everything that was sent is there; then no more comes."""
        wait_until(lambda: (self.counted() or (0, 0))[0] >= len(self.sent), 180, f"{len(self.sent)} facts", 0.5)
        assert self.counted() == (len(self.sent), pytest.approx(sum(self.sent.values()), rel=1e-9))

    def kill(self, name: str) -> None:
        """Without a word, and until the supervisor has it back."""
        before = nodes(self.folder)[name]
        os.kill(before["pid"], signal.SIGKILL)
        self.send()
        wait_until(lambda: nodes(self.folder)[name]["restarts"] > before["restarts"], 60, f"{name}'s end is seen", 0.5)
        wait_until(lambda: all(one["ready"] for one in nodes(self.folder).values()), 180, f"{name} is back", 1.0)

    def restart_broker(self) -> None:
        """Killed and started again."""
        self.broker.kill()
        self.broker.start()


@pytest.fixture(scope="module")
def stage(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with LocalBroker(tmp_path_factory.mktemp("broker")) as broker:
        kafka = KafkaSettings(bootstrap=broker.bootstrap)
        apply_topics(kafka, load_topics(), replication=1)
        stage = Stage(folder, broker)
        stage.send()
        deploy(folder, None, kafka)
        stage.assert_exact()
        yield stage


FAULTS: list[tuple[str, Callable[[Stage], None]]] = [
    ("receiver", lambda stage: stage.kill("receiver-0")),
    ("receiver again, when nothing has come since", lambda stage: stage.kill("receiver-0")),
    ("server", lambda stage: stage.kill("server")),
    ("zookeeper", lambda stage: stage.kill("zookeeper")),
    ("broker", lambda stage: stage.restart_broker()),
    ("all of Kylin", lambda stage: [stage.kill(name) for name in ("zookeeper", "server", "receiver-0")] and None),
]


@pytest.mark.parametrize("fault", [fault for _, fault in FAULTS], ids=[name for name, _ in FAULTS])
def test_every_fact_counts_once(stage: Stage, fault: Callable[[Stage], None]) -> None:
    stage.send()
    fault(stage)
    stage.assert_exact()
    stage.send()
    stage.assert_exact()
