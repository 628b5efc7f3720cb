"""Bytes between a trainer and a shard: blocking TCP, behind an interface that other transports can fill."""

import errno
import socket
import time
from contextlib import suppress
from typing import Protocol

from gradcube.errors import ConfigError, PeerLost

DRAIN_BYTES = 1 << 16


class Connection(Protocol):
    """An open stream of bytes. Every call raises PeerLost when the other end is gone or too slow."""

    def send(self, *parts: bytes | memoryview) -> None:
        """Sends all parts in order, without joining them."""

    def receive_into(self, target: memoryview) -> None:
        """Fills all of `target`."""

    def set_timeout(self, seconds: float | None) -> None:
        """Longest silence in one call; None waits for ever. Raises PeerLost when it was closed meanwhile."""

    def drain(self, seconds: float) -> None:
        """Sends nothing more, and throws away what still comes, for so long at most; never raises.

        A socket that is closed over unread bytes is reset, and the last answer may be lost with them.
        """

    def close(self) -> None:
        """Closes the stream; a call that another thread waits in ends with PeerLost."""


class Listener(Protocol):
    """Accepts connections."""

    @property
    def port(self) -> int:
        """The port that is listened on."""

    def accept(self) -> Connection:
        """The next connection. Raises PeerLost when the listener is closed."""

    def close(self) -> None:
        """Stops listening; `accept` ends with PeerLost."""


class TcpConnection:
    """A Connection over a connected TCP socket: no delay, keep-alive, no copies."""

    def __init__(self, peer: socket.socket) -> None:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._socket = peer

    def send(self, *parts: bytes | memoryview) -> None:
        """See Connection."""
        left = [memoryview(part).cast("B") for part in parts if memoryview(part).nbytes]
        try:
            while left:
                sent = self._socket.sendmsg(left)
                while left and sent >= left[0].nbytes:
                    sent -= left.pop(0).nbytes
                if sent:
                    left[0] = left[0][sent:]
        except OSError as error:
            raise PeerLost(f"sending failed: {error}") from error

    def receive_into(self, target: memoryview) -> None:
        """See Connection."""
        left = target.cast("B") if target.nbytes else target
        try:
            while left.nbytes:
                received = self._socket.recv_into(left)
                if received == 0:
                    raise PeerLost(f"the other end closed with {left.nbytes} bytes to come")
                left = left[received:]
        except OSError as error:
            raise PeerLost(f"receiving failed: {error}") from error

    def set_timeout(self, seconds: float | None) -> None:
        """See Connection."""
        try:
            self._socket.settimeout(seconds)
        except OSError as error:
            raise PeerLost(f"the connection was closed here: {error}") from error

    def drain(self, seconds: float) -> None:
        """See Connection."""
        scratch, deadline = bytearray(DRAIN_BYTES), time.monotonic() + seconds
        with suppress(OSError):  # it has gone, or goes on for too long
            self._socket.shutdown(socket.SHUT_WR)
            while (left := deadline - time.monotonic()) > 0:
                self._socket.settimeout(left)
                if not self._socket.recv_into(scratch):
                    return

    def close(self) -> None:
        """See Connection."""
        _shut(self._socket)


class TcpListener:
    """A Listener on `host`; port 0 takes any free one. Raises ConfigError when it cannot be opened."""

    def __init__(self, host: str, port: int) -> None:
        try:
            self._socket = socket.create_server((host, port), backlog=128)
        except OSError as error:
            reason = "it is taken" if error.errno == errno.EADDRINUSE else error.strerror
            raise ConfigError(f"data port {host}:{port} cannot be opened: {reason}; set another port") from error

    @property
    def port(self) -> int:
        """See Listener."""
        return int(self._socket.getsockname()[1])

    def accept(self) -> TcpConnection:
        """See Listener."""
        try:
            return TcpConnection(self._socket.accept()[0])
        except OSError as error:
            raise PeerLost(f"listener closed: {error}") from error

    def close(self) -> None:
        """See Listener."""
        _shut(self._socket)


def connect(address: str, timeout_seconds: float) -> Connection:
    """Connects to "host:port". Raises PeerLost when nobody answers, ConfigError for another form of address."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(f"shard address {address!r} is not host:port")
    try:
        return TcpConnection(socket.create_connection((host.strip("[]"), int(port)), timeout_seconds))
    except OSError as error:
        raise PeerLost(f"nobody answers at {address}: {error}") from error


def _shut(open_socket: socket.socket) -> None:
    # shutdown wakes a thread that waits in recv or accept; close alone does not.
    with suppress(OSError):  # it may not be connected any more
        open_socket.shutdown(socket.SHUT_RDWR)
    open_socket.close()
