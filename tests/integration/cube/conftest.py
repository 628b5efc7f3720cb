import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.cube.gateway_process import GatewayProcess

from gradcube.bus.topics import TopicSpec, apply_topics, load_topics
from gradcube.events.registry import schemas_dir
from gradcube.settings import KafkaSettings


@pytest.fixture
def topic(kafka: KafkaSettings) -> TopicSpec:
    """A facts topic of its own for each test, with its dead letters."""
    shipped = load_topics()["gradcube.facts"]
    mine = replace(shipped, name=f"gradcube.facts.{uuid.uuid4().hex[:8]}", partitions=3)
    letters = replace(shipped, name=f"dlq.{mine.name}", partitions=1)
    apply_topics(kafka, {one.name: one for one in (mine, letters)}, replication=1)
    return mine


@pytest.fixture
def gateway(tmp_path: Path, kafka: KafkaSettings, topic: TopicSpec) -> Iterator[GatewayProcess]:
    """Running; it reads `topic`."""
    process = GatewayProcess(tmp_path, kafka, cube_file=str(cube_file(tmp_path, topic.name)))
    process.start()
    yield process
    process.stop()


def cube_file(directory: Path, topic: str) -> Path:
    """The shipped cube, over another topic."""
    cube: dict[str, Any] = yaml.safe_load((schemas_dir() / "cubes" / "facts.yaml").read_text())
    path = directory / "cube.yaml"
    path.write_text(yaml.safe_dump({**cube, "topic": topic}, sort_keys=False))
    return path
