"""`python -m gradcube.cli.broker FOLDER PORT HEALTH_PORT`: the local broker as a service of its own.

It outlives the command that started it, answers /ready like every service, and ends the broker in order on TERM.
"""

import signal
import sys
import threading
from pathlib import Path

from prometheus_client import CollectorRegistry

from gradcube.bus.local_broker import LocalBroker
from gradcube.errors import GradcubeError, exit_on
from gradcube.health import HealthServer


def main() -> int:
    """Runs the broker until TERM or Ctrl-C."""
    folder, port, health_port = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    broker = LocalBroker(folder, port=port)
    ready = threading.Event()
    with (
        exit_on(GradcubeError),
        HealthServer(
            "127.0.0.1",
            health_port,
            checks=lambda: {"broker": ready.is_set()},
            status=lambda: {"bootstrap": broker.bootstrap},
            registry=CollectorRegistry(),
        ),
        broker,
    ):
        ready.set()
        stopped.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
