"""`python -m gradcube_cube`: settings, open, serve, close."""

import logging

from gradcube.errors import GradcubeError, exit_on
from gradcube.logs import configure_logging
from gradcube.settings import KafkaSettings, LogSettings
from gradcube_cube.app import build_app
from gradcube_cube.gateway import open_gateway
from gradcube_cube.server import listen, serve
from gradcube_cube.settings import CubeSettings


def main() -> None:
    """Runs until SIGTERM or SIGINT."""
    with exit_on(GradcubeError):
        settings = CubeSettings.load()
        configure_logging(LogSettings.load(), service="cube")
        logging.getLogger("sqlglot").setLevel(logging.ERROR)  # its warnings quote refused statements
        with listen(settings.host, settings.port) as listener:
            gateway = open_gateway(settings, KafkaSettings.load())
            try:
                serve(build_app(gateway), listener)
            finally:
                gateway.close()


if __name__ == "__main__":
    main()
