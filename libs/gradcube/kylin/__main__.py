"""`python -m gradcube.kylin`: the local Kylin as one service, told by GRADCUBE_KYLIN_*; ends in order on TERM."""

import signal
import sys
import threading

from prometheus_client import CollectorRegistry

from gradcube.errors import GradcubeError, exit_on
from gradcube.health import HealthServer
from gradcube.kylin.configuration import write_configuration
from gradcube.kylin.node import nodes_of
from gradcube.kylin.settings import KylinSettings
from gradcube.kylin.supervisor import Supervisor, require_directory
from gradcube.logs import configure_logging
from gradcube.settings import LogSettings


def main() -> int:
    """Runs until TERM or Ctrl-C."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with exit_on(GradcubeError):
        configure_logging(LogSettings.load(), service="kylin")
        settings = KylinSettings.load()
        require_directory(settings.directory)
        settings.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_configuration(settings)
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
    return 0


if __name__ == "__main__":
    sys.exit(main())
