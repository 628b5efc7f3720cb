"""A gateway that has read the fleet from a real broker, and what it answers."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from kafka import KafkaProducer
from tests.integration.cube.gateway_process import GatewayProcess
from tests.integration.questions.page import Question, shown
from tests.integration.questions.stream import Sent, fleet
from tests.waiting import wait_until

from gradcube.bus.topics import apply_topics, load_topics
from gradcube.clients.connection import Connection, connect
from gradcube.cube.model import load_catalog
from gradcube.events.registry import schemas_dir
from gradcube.settings import KafkaSettings

PREFIX = "fleet."


@contextmanager
def answering(directory: Path, kafka: KafkaSettings) -> Iterator[GatewayProcess]:
    """Over the shipped cubes, each fed by a topic of its own, once all that the fleet says is read."""
    sent = list(fleet())
    topics = _make_topics(kafka)
    process = GatewayProcess(directory, kafka, cubes=str(_cubes(directory)))
    process.start()
    try:
        _produce(kafka, topics, sent)
        for cube, count in Counter(one.cube for one in sent).items():
            _wait_until_read(process, cube, count)
        yield process
    finally:
        process.stop()


def open_connection(gateway: GatewayProcess) -> Connection:
    """As the administrator."""
    return connect(f"http://ADMIN@127.0.0.1:{gateway.port}/gradcube", password_file=gateway.directory / "password")


def ask(connection: Connection, question: Question) -> list[list[str]]:
    """The answer as the page shows it."""
    result = connection.query(question.sql, progress=False)
    return shown(result.columns, result.rows)


def _make_topics(kafka: KafkaSettings) -> dict[str, str]:
    """The topic of each cube. They keep records of any age: the fleet's days are long past."""
    shipped, cubes = load_topics(), load_catalog().cubes
    topics = {name: PREFIX + model.topic for name, model in cubes.items()}
    specs = [
        replace(spec, name=spec.name.replace(model.topic, topics[name]), config={"retention.ms": "-1"})
        for name, model in cubes.items()
        for spec in (shipped[model.topic], shipped[f"dlq.{model.topic}"])
    ]
    apply_topics(kafka, {spec.name: spec for spec in specs}, replication=1)
    return topics


def _cubes(directory: Path) -> Path:
    """The shipped declarations over those topics, without the days after which rows go."""
    folder = directory / "cubes"
    folder.mkdir()
    for path in (schemas_dir() / "cubes").glob("*.yaml"):
        body: dict[str, Any] = yaml.safe_load(path.read_text())
        if "source" in body:
            body["source"]["topic"] = PREFIX + body["source"]["topic"]
            body.get("retention", {}).pop("days", None)
        (folder / path.name).write_text(yaml.safe_dump(body, sort_keys=False))
    return folder


def _produce(kafka: KafkaSettings, topics: dict[str, str], sent: Sequence[Sent]) -> None:
    client = KafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=20, batch_size=1 << 18)
    for one in sent:
        client.send(topics[one.cube], key=one.key.encode(), value=one.value, timestamp_ms=one.at_millis)
    client.flush()
    client.close()


def _wait_until_read(process: GatewayProcess, cube: str, count: int) -> None:
    wait_until(
        lambda: sum(process.status(cube)["offsets"].values()) == count, 60, f"{count} records of {cube}; {process.log}"
    )
    status = process.status(cube)
    assert (status["bad_records"], status["duplicate_fact_ids"]) == (0, 0), status
