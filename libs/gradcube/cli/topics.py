"""`gradcube topics` and `gradcube tail`: the topics of schemas/topics.yaml, and what is in them."""

import json as jsonlib
import time
from typing import Any

import typer

from gradcube.bus.consumer import BatchConsumer, Record
from gradcube.bus.topics import apply_topics, check_topics, load_topics
from gradcube.cli import output, state
from gradcube.errors import ConfigError, SchemaError
from gradcube.events.codec import decode
from gradcube.settings import KafkaSettings

app = typer.Typer(help="The topics of schemas/topics.yaml.", no_args_is_help=True)


def kafka() -> KafkaSettings:
    """The local broker when services run here, else GRADCUBE_KAFKA_*."""
    running = state.running()
    return running.kafka() if running else KafkaSettings.load()


@app.command("list")
def list_topics(json: bool = typer.Option(False, "--json", help="for programs")) -> None:
    """What is declared: key, schema, partitions, retention."""
    specs = list(load_topics().values())
    rows = [(spec.name, spec.key, spec.schema, spec.partitions, spec.config.get("retention.ms", "")) for spec in specs]
    columns = ["topic", "key", "schema", "partitions", "retention_ms"]
    if json:
        output.print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        output.out.print(output.table(columns, rows))


@app.command("apply")
def apply(replication: int = typer.Option(1, min=1, help="copies of each partition; 3 on a cluster")) -> None:
    """Make the topics that are missing. Nothing that exists is changed."""
    created = apply_topics(kafka(), load_topics(), replication=replication)
    output.out.print("\n".join(f"created {name}" for name in created) or "all topics exist")


@app.command("check")
def check() -> None:
    """Compare the broker's topics with the declaration."""
    check_topics(kafka(), load_topics())
    output.out.print("all topics are as declared")


def tail(
    topic: str = typer.Argument(help="such as gradcube.findings"),
    job: str | None = typer.Option(None, help="only records of this job"),
    count: int | None = typer.Option(None, "-n", min=1, help="stop after so many records"),
    from_beginning: bool = typer.Option(False, help="from the topic's beginning, not from now"),
    follow: bool = typer.Option(True, help="wait for more; --no-follow ends at the end of the topic"),
) -> None:
    """Print the records of a topic as JSON lines, decoded."""
    if topic not in load_topics():
        raise ConfigError(f"topic {topic!r} is not one of gradcube's; see: gradcube topics list")
    shown = 0
    with BatchConsumer(kafka(), [topic], from_beginning=from_beginning) as consumer:
        quiet_since = time.monotonic()
        while follow or time.monotonic() - quiet_since < 3:
            for record in consumer.poll(0.5):
                quiet_since = time.monotonic()
                value = _readable(record)
                if job is None or value.get("job", value.get("JOB")) == job:
                    output.out.file.write(jsonlib.dumps(value, default=str) + "\n")
                    shown += 1
                    if shown == count:
                        return


def _readable(record: Record) -> dict[str, Any]:
    where = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    if record.value is None:
        return {**where, "value": None}
    if record.topic == "gradcube.facts":
        fact: dict[str, Any] = jsonlib.loads(record.value)
        return fact
    try:
        return decode(record.value)[1]
    except SchemaError as error:
        return {**where, "unreadable": str(error)}
