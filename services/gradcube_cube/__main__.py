"""`python -m gradcube_cube`: settings, open, serve, close."""

import logging
import ssl

from gradcube.errors import GradcubeError, exit_on
from gradcube.logs import configure_logging
from gradcube.security.settings import SecuritySettings
from gradcube.security.tls import server_context
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
        security = SecuritySettings.load()
        tls = _tls(security)
        with listen(settings.host, settings.port) as listener:
            gateway = open_gateway(settings, KafkaSettings.load(), security)
            try:
                serve(build_app(gateway), listener, tls)
            finally:
                gateway.close()


def _tls(security: SecuritySettings) -> ssl.SSLContext | None:
    if security.tls_cert_file is None or security.tls_key_file is None:
        return None
    return server_context(security.tls_cert_file, security.tls_key_file)


if __name__ == "__main__":
    main()
