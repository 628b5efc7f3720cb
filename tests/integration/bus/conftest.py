"""A broker of the test's own, for those that kill or freeze it, and small topics."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from gradcube.bus.local_broker import LocalBroker
from gradcube.bus.topics import TopicSpec, apply_topics
from gradcube.settings import KafkaSettings


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[LocalBroker]:
    """Not started yet."""
    broker = LocalBroker(tmp_path / "own-broker")
    yield broker
    broker.stop()


def spec(name: str, partitions: int = 2, **config: str) -> TopicSpec:
    return TopicSpec(name, "key", "none", partitions, 1, config)


@pytest.fixture
def new_topic(kafka: KafkaSettings) -> Callable[..., str]:
    """Creates a topic on the shared broker and returns its name, which nobody else has."""

    def create(partitions: int = 2, **config: str) -> str:
        name = f"test.{uuid4().hex}"
        apply_topics(kafka, {name: spec(name, partitions, **config)})
        return name

    return create
