"""What every Kafka client here has in common: options from the settings, a quiet log, errors of our own tree."""

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kafka.errors
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import KafkaNetSocket
from kafka.net.transport import KafkaSSLTransport

from gradcube.errors import BrokerUnavailable, BusError, ConfigError
from gradcube.settings import KafkaSettings

UNREACHABLE = (
    kafka.errors.KafkaTimeoutError,
    kafka.errors.KafkaConnectionError,
    kafka.errors.NodeNotReadyError,
    kafka.errors.MetadataEmptyBrokerList,
    kafka.errors.RequestTimedOutError,
)
"""What kafka-python raises when nobody answers, as against a broker that says no."""
READ_BYTES = 256 * 1024
"""What is read from a connection at once."""


def kafka_options(settings: KafkaSettings) -> dict[str, Any]:
    """Address, TLS and SASL as keyword arguments of any kafka-python client.

    The password is read from its file, without the line end. Raises ConfigError for a file that cannot be read
    and for SASL settings that are incomplete.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": [address.strip() for address in settings.bootstrap.split(",") if address.strip()],
        "security_protocol": settings.security_protocol,
    }
    for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
        path: Path | None = getattr(settings, name)
        if path is not None:
            options[name] = str(_readable(name, path))
    if settings.security_protocol.startswith("SASL"):
        options |= _sasl_options(settings)
    return options


def connect(kind: Callable[..., Any], settings: KafkaSettings, **options: Any) -> Any:
    """`kind(**options)`, a kafka-python producer, consumer or admin client, with the options of `settings`.

    kafka-python 3.0.12 leaves the sockets and the thread of a client that finds no broker; here they are closed.
    """
    quiet_client_log()
    clients: list[Any] = []

    def remembered(**configs: Any) -> Any:
        clients.append(KafkaNetClient(**configs))
        return clients[-1]

    try:
        return kind(**kafka_options(settings), kafka_client=remembered, **options)
    except BaseException:
        for client in clients:
            client.close()
        raise


def _sasl_options(settings: KafkaSettings) -> dict[str, Any]:
    for name in ("sasl_mechanism", "sasl_username", "sasl_password_file"):
        if getattr(settings, name) is None:
            variable = f"GRADCUBE_KAFKA_{name.upper()}"
            raise ConfigError(f"security protocol {settings.security_protocol} needs {variable}; set it")
    assert settings.sasl_password_file is not None
    password = _readable("sasl_password_file", settings.sasl_password_file).read_text(encoding="utf-8")
    return {
        "sasl_mechanism": settings.sasl_mechanism,
        "sasl_plain_username": settings.sasl_username,
        "sasl_plain_password": password.rstrip("\r\n"),
    }


def _readable(name: str, path: Path) -> Path:
    try:
        path.open("rb").close()
    except OSError as error:
        variable = f"GRADCUBE_KAFKA_{name.upper()}"
        raise ConfigError(f"{variable}: {path} cannot be read ({error.strerror}); name a readable file") from error
    return path


def quiet_client_log() -> None:
    """Silences kafka-python, which logs every refused connection, unless its level was set by the program."""
    logger = logging.getLogger("kafka")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)


@contextmanager
def bus_errors(settings: KafkaSettings) -> Iterator[None]:
    """Turns kafka-python's errors into BrokerUnavailable (nobody answered) and BusError (the broker said no)."""
    try:
        yield
    except UNREACHABLE as error:
        raise BrokerUnavailable(
            f"no Kafka broker answers at {settings.bootstrap} ({type(error).__name__}); start it, "
            "or set GRADCUBE_KAFKA_BOOTSTRAP"
        ) from error
    except kafka.errors.KafkaError as error:
        raise BusError(f"Kafka at {settings.bootstrap} refused: {error}") from error


_stock_connect = KafkaNetSocket.sock_connect


async def _connect_or_close(self: Any, net: Any, sock: Any, address: Any, timeout_at: float | None = None) -> Any:
    """kafka-python 3.0.12 leaves a socket that could not connect to the garbage collector.

    A training process often runs with the collector off, and a broker may be away for hours.
    """
    try:
        return await _stock_connect(self, net, sock, address, timeout_at=timeout_at)
    except BaseException:
        sock.close()
        raise


KafkaNetSocket.sock_connect = _connect_or_close
_stock_handshake = KafkaSSLTransport.handshake


async def _shake_hands_or_close(self: Any) -> None:
    """The same for a socket whose TLS handshake failed, as with a certificate that is not trusted."""
    try:
        await _stock_handshake(self)
    except BaseException:
        self._sock.close()
        raise


KafkaSSLTransport.handshake = _shake_hands_or_close


class _Socket(socket.socket):
    """kafka-python 3.0.12 reads 4 KiB at a time, and each time waits to get Python's lock back."""

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        return super().recv(max(size, READ_BYTES), flags)


def _new_socket(_: Any, family: int, kind: int = socket.SOCK_STREAM, protocol: int = socket.IPPROTO_TCP) -> _Socket:
    return _Socket(family, kind, protocol)


KafkaNetSocket.socket = _new_socket
