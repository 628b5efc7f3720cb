"""Topics as schemas/topics.yaml declares them: read, created where they are missing, compared with a broker."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kafka.errors
import yaml
from kafka import KafkaAdminClient

from gradcube.bus.client import bus_errors, connect
from gradcube.errors import BusError, ConfigError, TopicMismatch
from gradcube.events.registry import schemas_dir
from gradcube.settings import KafkaSettings

ANSWER_SECONDS = 15.0


@dataclass(frozen=True)
class TopicSpec:
    """One topic: `key` says what its records are keyed by, `schema` what their values are."""

    name: str
    key: str
    schema: str
    partitions: int
    replication: int
    config: Mapping[str, str]


def load_topics(path: Path | None = None) -> dict[str, TopicSpec]:
    """Every declared topic by name, and the dead-letter topics after them. Raises ConfigError naming the file."""
    path = path or schemas_dir() / "topics.yaml"
    try:
        declared = yaml.safe_load(path.read_text(encoding="utf-8"))
        specs = {name: _spec(name, entry, declared["defaults"]) for name, entry in declared["topics"].items()}
        return specs | _dead_letter_specs(specs, declared)
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path} is not a list of topics: {type(error).__name__} {error}") from error


def apply_topics(
    settings: KafkaSettings, specs: Mapping[str, TopicSpec], *, replication: int | None = None
) -> list[str]:
    """Creates the topics that are missing and returns their names; existing topics stay as they are.

    `replication` overrides that of every topic (1 for a single broker). Raises BrokerUnavailable or BusError.
    """
    with _admin(settings) as admin:
        found = _partition_counts(admin)
        missing = [spec for spec in specs.values() if spec.name not in found]
        created = [spec.name for spec in missing if _create(admin, spec, replication or spec.replication)]
        admin.wait_for_topics(created)
    return created


def check_topics(settings: KafkaSettings, specs: Mapping[str, TopicSpec]) -> None:
    """Raises TopicMismatch for a topic that is missing or has another number of partitions, all in one message."""
    with _admin(settings) as admin:
        problems = list(_mismatches(specs.values(), _partition_counts(admin)))
    if problems:
        raise TopicMismatch("; ".join(problems))


def _spec(name: str, entry: Mapping[str, Any], defaults: Mapping[str, Any]) -> TopicSpec:
    config = {**defaults.get("config", {}), **entry.get("config", {})}
    return TopicSpec(
        name=name,
        key=str(entry["key"]),
        schema=str(entry["schema"]),
        partitions=int(entry["partitions"]),
        replication=int(entry.get("replication", defaults["replication"])),
        config={str(key): str(value) for key, value in config.items()},
    )


def _dead_letter_specs(specs: Mapping[str, TopicSpec], declared: Mapping[str, Any]) -> dict[str, TopicSpec]:
    block = declared["dead_letters"]
    entries = {
        str(block["prefix"]) + source: {
            "key": specs[source].key,
            "schema": specs[source].schema,
            "partitions": block["partitions"],
            "config": block.get("config", {}),
        }
        for source in block["of"]
    }
    return {name: _spec(name, entry, declared["defaults"]) for name, entry in entries.items()}


def _create(admin: Any, spec: TopicSpec, replication: int) -> bool:
    """False when somebody else created it in the meantime."""
    wanted = {
        "num_partitions": spec.partitions,
        "replication_factor": replication,
        "configs": dict(spec.config),
    }
    try:
        admin.create_topics({spec.name: wanted})
    except kafka.errors.TopicAlreadyExistsError:
        return False
    except kafka.errors.BrokerResponseError as error:
        raise BusError(f"topic {spec.name} cannot be created with {wanted}: {error}") from error
    return True


def _mismatches(specs: Iterable[TopicSpec], found: Mapping[str, int]) -> Iterator[str]:
    for spec in specs:
        partitions = found.get(spec.name)
        if partitions is None:
            yield f"topic {spec.name} is missing; create it with `gradcube topics apply`"
        elif partitions != spec.partitions:
            yield (
                f"topic {spec.name} has {partitions} partitions, schemas/topics.yaml wants {spec.partitions}; "
                f"delete it and run `gradcube topics apply`, or change topics.yaml (partitions are fixed at creation)"
            )


def _partition_counts(admin: Any) -> dict[str, int]:
    return {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics()}


@contextmanager
def _admin(settings: KafkaSettings) -> Iterator[Any]:
    milliseconds = int(ANSWER_SECONDS * 1000)
    with bus_errors(settings):
        admin = connect(
            KafkaAdminClient,
            settings,
            bootstrap_timeout_ms=milliseconds,
            request_timeout_ms=milliseconds,
            client_id="gradcube-admin",
        )
        with closing(admin):
            yield admin
