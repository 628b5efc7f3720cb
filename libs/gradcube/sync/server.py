"""Serves one shard to trainers: a thread for each connection, requests in, replies out, garbage turned away."""

import math
import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import structlog
from numpy.typing import NDArray

from gradcube.errors import GradcubeError, PeerLost, ProtocolError
from gradcube.sync.exchange import Push, Reply
from gradcube.sync.frames import (
    HEADER_BYTES,
    MESSAGE_LIMIT_BYTES,
    Header,
    Kind,
    as_bytes,
    check_crc,
    check_length,
    pack,
    parse,
)
from gradcube.sync.shard import Shard
from gradcube.sync.transport import Connection, Listener

log = structlog.get_logger(__name__)

FloatArray = NDArray[np.float32]
_EMPTY = memoryview(b"")
DRAIN_SECONDS = 2.0
"""A client that was turned away may finish what it is sending, so that it reads why."""


class ShardServer:
    """Accepts connections for `shard` until closed.

    A connection that sends anything but our frames is told why and closed; the others go on. What is allocated
    for a connection is one buffer of the shard's size, at most `max_parameters` values.
    """

    def __init__(
        self,
        shard: Shard,
        listener: Listener,
        *,
        max_parameters: int,
        max_connections: int = 1024,
        frame_timeout_seconds: float = 60,
    ) -> None:
        self._shard, self._listener = shard, listener
        self._max_parameters, self._max_connections = max_parameters, max_connections
        self._frame_timeout_seconds = frame_timeout_seconds
        self._open: set[Connection] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._accept, name="accept", daemon=True)
        self.num_garbage = 0
        """Connections closed for a frame that was not ours."""

    def start(self) -> None:
        """Starts accepting."""
        self._thread.start()

    @property
    def num_connections(self) -> int:
        """Open connections."""
        return len(self._open)

    def close(self) -> None:
        """Stops accepting and closes all connections; waiting clients see the end and try elsewhere."""
        self._closed = True
        self._listener.close()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            for connection in self._open:
                connection.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection = self._listener.accept()
            except PeerLost as error:
                if not self._closed:
                    log.warning("accept_failed", error=str(error))
                    threading.Event().wait(0.05)  # out of descriptors: do not spin
                continue
            with self._lock:
                if len(self._open) >= self._max_connections:
                    log.warning("connection_refused", open=len(self._open), limit=self._max_connections)
                    connection.close()
                    continue
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), name="connection", daemon=True).start()

    def _serve(self, connection: Connection) -> None:
        session = _Session(connection, self._shard, self._max_parameters, self._frame_timeout_seconds)
        try:
            while not self._closed:
                session.answer_one()
        except PeerLost as error:
            log.debug("connection_ended", reason=str(error))
        except GradcubeError as error:
            self.num_garbage += isinstance(error, ProtocolError)
            log.warning("connection_closed", error=str(error))
            session.refuse(str(error))
            connection.drain(DRAIN_SECONDS)
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()


class _Session:
    """One connection's requests; its receive buffer is made with the first push and used for all."""

    def __init__(self, connection: Connection, shard: Shard, max_parameters: int, timeout_seconds: float) -> None:
        self._connection, self._shard = connection, shard
        self._max_parameters, self._timeout_seconds = max_parameters, timeout_seconds
        self._raw = bytearray(HEADER_BYTES)
        self._buffer = np.empty(0, np.float32)
        self._request = 0
        self._handlers: dict[Kind, Callable[[Header], Reply]] = {
            Kind.INITIALIZE: self._initialize,
            Kind.GET: lambda header: self._shard.get(header.version),
            Kind.PUSH: self._push,
            Kind.VERSIONS: lambda _: self._shard.versions(),
            Kind.RESTORE: lambda header: self._shard.restore(header),
        }

    def answer_one(self) -> None:
        """Reads one request and answers it. Raises ProtocolError for garbage, PeerLost at the end."""
        self._connection.set_timeout(None)  # a trainer computes as long as it likes between requests
        self._connection.receive_into(memoryview(self._raw)[:1])
        self._connection.set_timeout(self._timeout_seconds)
        self._connection.receive_into(memoryview(self._raw)[1:])
        header = parse(self._raw)
        self._request = header.request
        if header.kind not in self._handlers or header.shard != self._shard.identity.shard:
            raise ProtocolError(f"{header.kind.name} for shard {header.shard}, here is {self._shard.identity.shard}")
        if header.kind not in (Kind.INITIALIZE, Kind.PUSH):
            check_length(header, 0)
            check_crc(self._raw, header, _EMPTY)
        reply = self._handlers[header.kind](header)
        self._send(reply.header, _EMPTY if reply.values is None else as_bytes(reply.values))

    def refuse(self, reason: str) -> None:
        """Tells the other end why, if it still listens."""
        try:
            text = reason.encode()[:MESSAGE_LIMIT_BYTES]
            self._send(Header(Kind.REFUSED, shard=self._shard.identity.shard), memoryview(text))
        except PeerLost:
            pass  # it does not

    def _initialize(self, header: Header) -> Reply:
        return self._shard.initialize(header, self._receive(header, header.parameters))

    def _push(self, header: Header) -> Reply:
        ours = self._shard.job_parameters
        if ours and header.parameters != ours:
            raise ProtocolError(f"push of {header.parameters} parameters, the job has {ours}")
        numbers = (header.weight, header.learning_rate)
        if not all(map(math.isfinite, numbers)) or header.weight < 0 or header.rank < 0:
            raise ProtocolError(f"push of rank {header.rank} with weight, learning rate {numbers}")
        gradient = self._receive(header, header.parameters)
        return self._shard.push(
            Push(header.rank, header.epoch, header.version, gradient, header.weight, header.learning_rate)
        )

    def _receive(self, header: Header, parameters: int) -> FloatArray:
        values = self._shard.expected_values(parameters)
        if not 0 < values <= self._max_parameters:
            raise ProtocolError(
                f"{values} parameters announced for this shard, from 1 to {self._max_parameters} allowed"
            )
        check_length(header, values * 4)
        if self._buffer.size != values:
            self._buffer = np.empty(values, np.float32)
        view = as_bytes(self._buffer)
        self._connection.receive_into(view)
        check_crc(self._raw, header, view)
        return self._buffer

    def _send(self, header: Header, payload: memoryview) -> None:
        self._connection.send(pack(replace(header, request=self._request), payload), payload)
