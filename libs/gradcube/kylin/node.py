"""The processes of a local Kylin, in the order in which they start: what each runs, how it tells that it answers."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from gradcube.bus.broker_files import java_command
from gradcube.kylin.accounts import make_accounts
from gradcube.kylin.artifacts import fetch, java_dir
from gradcube.kylin.classes import compiled
from gradcube.kylin.configuration import conf_of
from gradcube.kylin.settings import ANY, KylinSettings

LOG, CONSOLE_LOG = "log4j.properties", "log4j-console.properties"
KINDS = ("zookeeper", "server", "receiver")
_ASK_SECONDS = 2.0


@dataclass(frozen=True)
class Node:
    """`ready` tells whether it answers now; `port` is the one that it listens on."""

    name: str
    command: tuple[str, ...]
    folder: Path
    port: int
    ready: Callable[[], bool]


def nodes_of(settings: KylinSettings) -> list[Node]:
    """ZooKeeper, server, receivers: a receiver ends at once in a ZooKeeper in which no coordinator ever was.

    Fetches, compiles and makes accounts when they are not there. Raises ConfigError that says what is missing.
    """
    program = _Program(settings)
    return [program.zookeeper(), program.server(), *map(program.receiver, range(settings.receivers))]


def node_of(settings: KylinSettings, kind: str) -> Node:
    """One of KINDS, to run by itself: it logs to standard output. Raises ConfigError."""
    program = _Program(settings, CONSOLE_LOG)
    if kind == "zookeeper":
        return program.zookeeper()
    return program.server() if kind == "server" else program.receiver(0)


class _Program:
    def __init__(self, settings: KylinSettings, log: str = LOG) -> None:
        self._settings, self._home, self._log = settings, settings.directory, log
        self._host = "127.0.0.1" if settings.host == ANY else settings.host
        self._jars = fetch()
        self._classes = compiled(self._jars)
        self._java = java_command()

    def zookeeper(self) -> Node:
        port = self._settings.zookeeper_port
        main = "org.apache.zookeeper.server.ZooKeeperServerMain"
        arguments = (main, str(self._home / "conf" / "zookeeper.properties"))
        return self._node(
            "zookeeper", self._settings.zookeeper_mib, arguments, port, lambda: _listens(self._host, port)
        )

    def server(self) -> Node:
        port = self._settings.server_port
        arguments = (
            "gradcube.kylin.ServerMain",
            self._settings.host,
            str(port),
            str(make_accounts(self._settings.passwords or self._home)),
        )
        url = f"http://{self._host}:{port}/kylin/api/admin/version"
        return self._node("server", self._settings.server_mib, arguments, port, lambda: _answers(url))

    def receiver(self, number: int) -> Node:
        port = self._settings.receiver_port + number
        url = f"http://{self._host}:{port}/kylin/api/stats/healthCheck"
        arguments = ("gradcube.kylin.ReceiverMain", self._settings.host, str(port))
        return self._node(f"receiver-{number}", self._settings.receiver_mib, arguments, port, lambda: _answers(url))

    def _node(self, name: str, mib: int, arguments: tuple[str, ...], port: int, ready: Callable[[], bool]) -> Node:
        conf, launcher = conf_of(self._home, name), java_dir() / "conf"
        folder = self._home / "run" / name
        log = self._home / "logs" / f"{name}.log"
        command = (
            self._java, f"@{launcher / 'java.options'}", f"-Xmx{mib}m",
            f"-Dlog4j.configuration=file:{launcher / self._log}", f"-Dgradcube.log={log}",
            f"-DKYLIN_CONF={conf}", f"-DKYLIN_HOME={folder}",
            "-cp", f"{self._classes}:{conf}:{self._jars}/*", *arguments,
        )  # fmt: skip
        return Node(name, command, folder, port, ready)


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(_ASK_SECONDS)
        return probe.connect_ex((host, port)) == 0


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=_ASK_SECONDS, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
