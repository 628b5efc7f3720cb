"""What the agent is told to reach: text of settings in, targets out.

`server=ps-0:7100,server=[::1]:7101,store=/checkpoints,gateway=cube:7070`: a dependency, and a host with its port, or a
folder for a store.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from gradcube.errors import ConfigError

DependencyName = Literal["broker", "server", "store", "gateway"]
MAX_TARGETS = 64
"""Each may keep a thread waiting."""
KAFKA_PORT = 9092
"""What Kafka's clients take where bootstrap names no port."""

_NAMES = get_args(DependencyName)
_NEXT = re.compile(rf",\s*(?=(?:{'|'.join(_NAMES)})=)")  # a folder may have commas in its name
_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:/\[\],]{1,253}))(?::(?P<port>\d{1,5}))?")


@dataclass(frozen=True)
class Address:
    """Where something listens on TCP."""

    host: str
    port: int


@dataclass(frozen=True)
class Target:
    """Something to reach; `name` is the place as it was written."""

    dependency: DependencyName
    name: str
    place: Address | Path


def parse_targets(text: str) -> tuple[Target, ...]:
    """The targets that `text` lists, none for ''. Raises ConfigError that quotes what is wrong."""
    entries = [entry.strip() for entry in _NEXT.split(text.strip()) if entry.strip()]
    if len(entries) > MAX_TARGETS:
        raise ConfigError(f"{len(entries)} probes are more than the {MAX_TARGETS} that one agent takes on")
    return tuple(_parse(entry) for entry in entries)


def brokers(bootstrap: str) -> tuple[Target, ...]:
    """The brokers of a `host:port,host:port`, as Kafka's clients read it. Raises ConfigError."""
    places = [place.strip() for place in bootstrap.split(",") if place.strip()][:MAX_TARGETS]
    try:
        return tuple(Target("broker", place, _address(place, KAFKA_PORT)) for place in places)
    except ConfigError as error:
        raise ConfigError(f"GRADCUBE_KAFKA_BOOTSTRAP: {error}") from error


def server(address: str) -> Target:
    """A shard of the parameters at `host:port`. Raises ConfigError."""
    return Target("server", address, _address(address))


def _parse(entry: str) -> Target:
    name, _, place = entry.partition("=")
    dependency = next((known for known in _NAMES if known == name), None)
    if dependency is None or not place:
        raise ConfigError(f"{entry!r} is no probe: write {'|'.join(_NAMES)}=host:port, or store=/folder")
    if dependency == "store" and place.startswith("/"):
        return Target(dependency, place, Path(place))
    return Target(dependency, place, _address(place))


def _address(text: str, default_port: int | None = None) -> Address:
    match = _ADDRESS.fullmatch(text)
    port = default_port if match is None or match["port"] is None else int(match["port"])
    if match is None or port is None or not 0 < port <= 65535:
        raise ConfigError(f"{text!r} is no host:port, such as ps-0:7100 or [::1]:7100")
    return Address(match["ipv6"] or match["host"], port)
