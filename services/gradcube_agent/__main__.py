"""`python -m gradcube_agent`: settings, build, run, close."""

import signal
import threading

from gradcube.bus.emitter import Emitter
from gradcube.errors import GradcubeError, exit_on
from gradcube.logs import configure_logging
from gradcube.settings import KafkaSettings, LogSettings
from gradcube.telemetry.sampler import ResourceSampler
from gradcube_agent.agent import Agent
from gradcube_agent.settings import AgentSettings
from gradcube_agent.targets import brokers


def main() -> None:
    """Samples until SIGTERM or SIGINT."""
    with exit_on(GradcubeError):
        settings, kafka = AgentSettings.load(), KafkaSettings.load()
        configure_logging(LogSettings.load(), service="agent")
        stopped = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stopped.set())
        emitter = Emitter(kafka, client_id="gradcube-agent")
        sampler = ResourceSampler(settings.node)
        Agent(settings, emitter, sampler, brokers=brokers(kafka.bootstrap)).run(stopped)
        sampler.close()
        emitter.close(5)


if __name__ == "__main__":
    main()
