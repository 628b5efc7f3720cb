"""The listening socket and the web server's life: a taken port is a ConfigError that says by whom."""

import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn
from fastapi import FastAPI

from gradcube.errors import ConfigError
from gradcube.ports import owner_of

_log = structlog.get_logger(__name__)


def listen(host: str, port: int) -> socket.socket:
    """Binds before anything else is opened. Raises ConfigError naming who has the port, if it can be seen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        owner = owner_of(port)
        held = f" by {owner}" if owner else ""
        raise ConfigError(
            f"{host}:{port} cannot be opened: {error.strerror}{held}; set GRADCUBE_CUBE_PORT to another"
        ) from error
    return listener


def serve(app: FastAPI, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
    """Answers until SIGTERM or SIGINT, then ends what is under way (at most 5 s) and returns."""
    config = uvicorn.Config(
        app, log_config=None, access_log=False, timeout_graceful_shutdown=5,
        ssl_context_factory=None if tls is None else lambda *_: tls,
    )  # fmt: skip
    server = _Server(config)
    host, port = listener.getsockname()[:2]
    _log.info("gateway_listening", host=host, port=port, tls=tls is not None)
    server.run(sockets=[listener])


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Unlike uvicorn's own, the signal is not raised again afterwards: a stop that was asked for is exit 0."""
        kinds = (signal.SIGTERM, signal.SIGINT)
        before = [signal.signal(kind, self.handle_exit) for kind in kinds]
        try:
            yield
        finally:
            for kind, handler in zip(kinds, before, strict=True):
                signal.signal(kind, handler)
