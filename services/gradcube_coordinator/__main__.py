"""`python -m gradcube_coordinator`: settings, build, run, close."""

import secrets
import signal
import time

import uvicorn

from gradcube.bus.emitter import Emitter
from gradcube.errors import GradcubeError, exit_on
from gradcube.logs import configure_logging
from gradcube.settings import KafkaSettings, LogSettings
from gradcube_coordinator.app import Coordinator, build_app
from gradcube_coordinator.lifecycle import CommandReader, offer_events
from gradcube_coordinator.membership import JobRegistry
from gradcube_coordinator.settings import CoordinatorSettings


def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    with exit_on(GradcubeError):
        settings, kafka = CoordinatorSettings.load(), KafkaSettings.load()
        configure_logging(LogSettings.load(), service="coordinator")
        emitter = Emitter(kafka, client_id="gradcube-coordinator")
        registry = JobRegistry(lease_seconds=settings.lease_seconds, new_id=lambda: secrets.token_urlsafe(16))
        coordinator = Coordinator(registry, lambda events: offer_events(emitter, events, time.time_ns() // 1000))
        commands = CommandReader(kafka, coordinator.command)
        commands.start()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: None)  # uvicorn raises it again after its own end: exit with 0
        uvicorn.run(build_app(coordinator), host=settings.host, port=settings.port, log_level="warning")
        commands.close()
        emitter.close(5)


if __name__ == "__main__":
    main()
