"""`python -m gradcube.kylin`: the local Kylin as one service, told by GRADCUBE_KYLIN_*; ends in order on TERM.

--node zookeeper|server|receiver runs one node in this process, such as in a container; --fetch fetches and compiles.
"""

import argparse
import os
import signal
import sys
import threading

from prometheus_client import CollectorRegistry

from gradcube.errors import ConfigError, GradcubeError, exit_on
from gradcube.health import HealthServer
from gradcube.kylin.artifacts import fetch
from gradcube.kylin.classes import compiled
from gradcube.kylin.configuration import write_configuration
from gradcube.kylin.node import KINDS, node_of, nodes_of
from gradcube.kylin.settings import KylinSettings
from gradcube.kylin.supervisor import Supervisor, require_directory
from gradcube.logs import configure_logging
from gradcube.settings import LogSettings


def main() -> int:
    """Runs until TERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m gradcube.kylin")
    parser.add_argument("--node", choices=KINDS, help="run this one alone; its end and its start are others' work")
    parser.add_argument("--fetch", action="store_true", help="fetch Kylin and compile the launcher, and run nothing")
    told = parser.parse_args()
    with exit_on(GradcubeError):
        configure_logging(LogSettings.load(), service="kylin")
        if told.fetch:
            compiled(fetch())
            return 0
        settings = _configured()
        if told.node:
            become(settings, told.node)
        supervise(settings)
    return 0


def become(settings: KylinSettings, kind: str) -> None:
    """This process becomes the node: signals reach it, and its end is that of the process."""
    node = node_of(settings, kind)
    node.folder.mkdir(parents=True, exist_ok=True)
    os.chdir(node.folder)
    os.execv(node.command[0], node.command)  # noqa: S606 - our own argument list


def supervise(settings: KylinSettings) -> None:
    """All nodes, each started again when it ends."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    supervisor = Supervisor(nodes_of(settings), settings.directory / "logs", settings.start_seconds)
    with HealthServer(
        "127.0.0.1", settings.health_port, checks=lambda: supervisor.checks, status=supervisor.status,
        registry=CollectorRegistry(),
    ):  # fmt: skip
        try:
            supervisor.start()
            stopped.wait()
        finally:
            supervisor.stop()


def _configured() -> KylinSettings:
    settings = KylinSettings.load()
    for folder in filter(None, (settings.directory, settings.shared)):
        require_directory(folder)
    try:
        settings.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_configuration(settings)
    except OSError as error:  # such as a receiver's view of the shared folder, which the server makes
        raise ConfigError(f"the configuration cannot be written: {error}") from error
    return settings


if __name__ == "__main__":
    sys.exit(main())
