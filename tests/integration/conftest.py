"""One real broker for the whole session, with every topic of schemas/topics.yaml."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gradcube.bus.local_broker import LocalBroker
from gradcube.bus.topics import apply_topics, load_topics
from gradcube.settings import KafkaSettings


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    broker = LocalBroker(Path(tmp_path_factory.mktemp("broker")))
    broker.start()
    apply_topics(KafkaSettings(bootstrap=broker.bootstrap), load_topics(), replication=1)
    yield broker
    broker.stop()


@pytest.fixture
def kafka(broker: LocalBroker) -> KafkaSettings:
    return KafkaSettings(bootstrap=broker.bootstrap)
