"""`python -m gradcube_paramserver`: settings, build, run, close."""

import signal
import threading

from gradcube.bus.emitter import Emitter
from gradcube.errors import GradcubeError, exit_on
from gradcube.logs import configure_logging
from gradcube.settings import KafkaSettings, LogSettings
from gradcube_paramserver.app import ParameterServer
from gradcube_paramserver.settings import ParamserverSettings


def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    with exit_on(GradcubeError):
        settings = ParamserverSettings.load()
        configure_logging(LogSettings.load(), service="paramserver")
        stopped = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stopped.set())
        emitter = Emitter(KafkaSettings.load(), client_id="gradcube-paramserver")
        ParameterServer(settings, emitter.offer).run(stopped)
        emitter.close(5)


if __name__ == "__main__":
    main()
