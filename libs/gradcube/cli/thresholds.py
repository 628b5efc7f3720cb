"""`gradcube set` and `gradcube thresholds`: a running job's thresholds, through gradcube.control."""

import getpass
import os
import platform
import time
import uuid
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import asdict, fields
from typing import Any

import typer
from kafka import KafkaProducer

from gradcube.bus.client import bus_errors, connect
from gradcube.bus.consumer import BatchConsumer
from gradcube.cli import output
from gradcube.cli.topics import kafka
from gradcube.diagnosis import catalog, plugins
from gradcube.diagnosis.commands import ACTION, Thresholds
from gradcube.errors import ConfigError, SchemaError
from gradcube.events.codec import decode, encode
from gradcube.settings import KafkaSettings

CONTROL = "gradcube.control"
ANSWER_SECONDS = 15.0


def set_thresholds(
    job: str = typer.Argument(help="a running job, or one to come"),
    assignments: list[str] = typer.Argument(
        metavar="NAME=VALUE...", help="such as straggler.min_ratio=1.2, hang.enabled=false, or hang.factor=default"
    ),
) -> None:
    """Change thresholds of a job's detectors, or switch them on and off, while it runs.

    The metrics service takes them within a second or two, and keeps them over its restarts for as long as the topic
    gradcube.control keeps the command (7 days).
    """
    arguments = dict(_assignment(text) for text in assignments)
    settings = kafka()
    thresholds = in_force(settings)
    after = thresholds.changed(job, arguments)
    send(settings, command(job, arguments))
    output.out.print(f"{job}: {_sentence(after)}", markup=False)


def show_thresholds(
    job: str | None = typer.Argument(None, help="one job; default: all that were changed"),
    json: bool = typer.Option(False, "--json", help="for programs"),
) -> None:
    """What is in force, and who set it."""
    thresholds = in_force(kafka())
    if json:
        entries = [asdict(entry) for entry in thresholds.entries if job in (None, entry.job)]
        output.print_json({"in_force": _jobs(thresholds, job), "commands": entries})
        return
    rows = [row for name, own in _jobs(thresholds, job).items() for row in _rows(name, own, thresholds.known)]
    output.out.print(output.table(["job", "threshold", "value", "default"], rows))
    entries_shown = [
        (_time(entry.at_micros), entry.by, entry.job, _sentence(entry.arguments), entry.refused or "done")
        for entry in thresholds.entries
        if job in (None, entry.job)
    ]
    if entries_shown:
        output.out.print(output.table(["at", "by", "job", "asked", "what became of it"], entries_shown))


def in_force(settings: KafkaSettings) -> Thresholds:
    """What the commands of the topic, from its beginning to its end now, amount to."""
    names = [name.strip() for name in os.environ.get("GRADCUBE_METRICS_DETECTORS", "").split(",") if name.strip()]
    thresholds = Thresholds(plugins.load(names, refused=lambda reason: output.err.print(reason, markup=False)))
    with BatchConsumer(settings, [CONTROL]) as consumer:
        ends = consumer.end_offsets()
        while any(consumer.positions().get(place, 0) < end for place, end in ends.items()):
            for record in consumer.poll(0.5):
                with suppress(SchemaError):  # the service logs it; here it changes nothing, as there
                    name, value = decode(record.value or b"")
                    if name == "Command":
                        thresholds.take(value)
    return thresholds


def command(job: str, arguments: dict[str, str]) -> dict[str, Any]:
    """The Command record; it says who asks, from where."""
    return {
        "id": uuid.uuid4().hex, "job": job, "at": time.time_ns() // 1000,
        "by": f"{getpass.getuser()}@{platform.node()}", "action": ACTION, "arguments": arguments,
    }  # fmt: skip


def send(settings: KafkaSettings, record: dict[str, Any]) -> None:
    """Returns when the broker has it. Raises BusError."""
    with (
        bus_errors(settings),
        closing(connect(KafkaProducer, settings, bootstrap_timeout_ms=int(ANSWER_SECONDS * 1000))) as producer,
    ):
        producer.send(CONTROL, key=record["job"].encode(), value=encode("Command", record)).get(ANSWER_SECONDS)


def _assignment(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise ConfigError(f"{text!r} is no assignment; write detector.threshold=value")
    return name.strip(), value.strip()


def _jobs(thresholds: Thresholds, job: str | None) -> dict[str, dict[str, str]]:
    return thresholds.jobs if job is None else {job: thresholds.of(job)}


def _rows(job: str, own: dict[str, str], known: Iterable[type[Any]]) -> list[tuple[str, str, str, str]]:
    """Every threshold of one job, with its value and its default."""
    kinds, rows = tuple(known), []
    for kind in kinds:
        on, settings = catalog.parse(own, kinds)[kind.name]
        rows.append((job, f"{kind.name}.{catalog.ENABLED}", str(on).lower(), "true"))
        defaults = kind.Settings()
        rows += [
            (job, f"{kind.name}.{each.name}", str(getattr(settings, each.name)), str(getattr(defaults, each.name)))
            for each in fields(settings)
        ]
    return rows


def _sentence(values: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(values.items())) or "all thresholds are at default"


def _time(at_micros: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at_micros / 1e6))
