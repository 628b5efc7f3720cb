"""Settings in, the configuration folders of each process out, from the templates beside the Java sources."""

import json
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gradcube.events.registry import registry
from gradcube.kylin.artifacts import java_dir
from gradcube.kylin.settings import KylinSettings


def write_configuration(settings: KylinSettings) -> None:
    """`conf/zookeeper.properties`, `conf/server/` and `conf/receiver-N/`, anew at each start."""
    home = settings.directory
    common = settings.shared or home
    folders = {"metadata": common / "metadata", "working": common / "working", "zookeeper": home / "zookeeper"}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    shared = {
        **folders, "host": settings.host, "name": settings.known_as, "zookeeper_address": settings.zookeeper_address,
        "zookeeper_port": settings.zookeeper_port, "server_port": settings.server_port,
    }  # fmt: skip
    _write(home / "conf" / "zookeeper.properties", ("zookeeper",), shared)
    _write(conf_of(home, "server") / "kylin.properties", ("common", "server"), shared)
    for number in range(settings.receivers):
        name = f"receiver-{number}"
        own = {"receiver_port": settings.receiver_port + number, "index": home / "index" / name}
        (home / "index" / name).mkdir(parents=True, exist_ok=True)
        _write(conf_of(home, name) / "kylin.properties", ("common", "receiver"), {**shared, **own})
        (conf_of(home, name) / "schemas.json").write_text(json.dumps(_schemas()), encoding="utf-8")


def conf_of(home: Path, name: str) -> Path:
    """The folder that KYLIN_CONF of a process names."""
    return home / "conf" / name


def _schemas() -> list[dict[str, Any]]:
    """What a receiver decodes Avro with: every version that this installation knows, checked by fingerprint."""
    return [{"id": one.id, "name": one.name, "version": one.version, "schema": one.parsed} for one in registry().all()]


def _write(path: Path, templates: tuple[str, ...], values: Mapping[str, object]) -> None:
    folder = java_dir() / "conf"
    text = "".join((folder / f"{name}.properties").read_text(encoding="utf-8") for name in templates)
    comment_free = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(string.Template(comment_free).substitute(values) + "\n", encoding="utf-8")
