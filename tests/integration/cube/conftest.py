import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.cube.gateway_process import GatewayProcess, produce
from tests.integration.cube.sqlalchemy_checks import ODD_JOB
from tests.unit.cube.facts import value

from gradcube.bus.local_broker import LocalBroker
from gradcube.bus.topics import TopicSpec, apply_topics, load_topics
from gradcube.events.registry import schemas_dir
from gradcube.settings import KafkaSettings


@pytest.fixture
def topic(kafka: KafkaSettings) -> TopicSpec:
    """A facts topic of its own for each test, with its dead letters."""
    return make_topic(kafka)


def make_topic(kafka: KafkaSettings) -> TopicSpec:
    """A new facts topic of three partitions and its dead letters."""
    shipped = load_topics()["gradcube.facts"]
    mine = replace(shipped, name=f"gradcube.facts.{uuid.uuid4().hex[:8]}", partitions=3)
    letters = replace(shipped, name=f"dlq.{mine.name}", partitions=1)
    apply_topics(kafka, {one.name: one for one in (mine, letters)}, replication=1)
    return mine


@pytest.fixture
def gateway(tmp_path: Path, kafka: KafkaSettings, topic: TopicSpec) -> Iterator[GatewayProcess]:
    """Running; it reads `topic`."""
    process = GatewayProcess(tmp_path, kafka, cubes=str(cubes_folder(tmp_path, topic.name)))
    process.start()
    yield process
    process.stop()


@pytest.fixture(scope="session")
def served(broker: LocalBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """One for all tests of clients, which only read: 100 facts of bert, and one of a job with an odd name."""
    odd = value(100, job=ODD_JOB, METRIC_VALUE=1e12)
    yield from running_with(broker, tmp_path_factory.mktemp("served"), [*(value(n) for n in range(100)), odd])


def running_with(broker: LocalBroker, directory: Path, values: Sequence[bytes]) -> Iterator[GatewayProcess]:
    """A gateway that has read the values from a topic of its own, until the iterator goes on."""
    kafka = KafkaSettings(bootstrap=broker.bootstrap)
    topic = make_topic(kafka).name
    process = GatewayProcess(directory, kafka, cubes=str(cubes_folder(directory, topic)))
    process.start()
    produce(kafka, topic, values)
    process.wait_for_rows(len(values))
    yield process
    process.stop()


def cubes_folder(directory: Path, topic: str) -> Path:
    """The shipped cube of facts alone, over another topic."""
    cube: dict[str, Any] = yaml.safe_load((schemas_dir() / "cubes" / "facts.yaml").read_text())
    folder = directory / "cubes"
    folder.mkdir(exist_ok=True)
    body = {**cube, "source": {**cube["source"], "topic": topic}}
    (folder / "facts.yaml").write_text(yaml.safe_dump(body, sort_keys=False))
    return folder
