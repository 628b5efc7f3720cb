"""Frames over a socket: two lengths, a JSON object, bytes. A length is checked before anything is allocated."""

import json
import select
import socket
import struct
from collections.abc import Callable, Mapping
from threading import Lock
from time import monotonic
from typing import Any

from gradcube.errors import ProtocolError

MAX_HEADER_BYTES = 16 * 2**20  # a request names every file of its views
_LENGTHS = struct.Struct("!II")
_TICK_SECONDS = 0.2


class Channel:
    """One end of a socketpair. Any thread may send; one thread receives. The channel owns the socket."""

    def __init__(self, end: socket.socket, *, send_seconds: float | None = None) -> None:
        self._socket = end
        self._socket.settimeout(send_seconds)
        self._sending = Lock()

    def send(self, header: Mapping[str, Any], body: bytes | memoryview = b"") -> None:
        """One frame. Raises OSError when the other end is gone or reads nothing for `send_seconds`."""
        text = json.dumps(header).encode()
        if len(text) > MAX_HEADER_BYTES:
            raise ProtocolError(f"a frame's header has {len(text)} bytes, at most {MAX_HEADER_BYTES} are sent")
        with self._sending:
            self._socket.sendall(_LENGTHS.pack(len(text), len(body)) + text)
            self._socket.sendall(body)

    def receive(
        self, max_body_bytes: int, deadline: Callable[[], float] | None = None
    ) -> tuple[dict[str, Any], bytearray]:
        """The next frame. Raises EOFError at the end, TimeoutError past `deadline()`, ProtocolError for no frame."""
        header_bytes, body_bytes = _LENGTHS.unpack(self._read(_LENGTHS.size, deadline))
        if header_bytes > MAX_HEADER_BYTES or body_bytes > max_body_bytes:
            raise ProtocolError(f"a frame claims {header_bytes} and {body_bytes} bytes; that is more than allowed")
        text = self._read(header_bytes, deadline)
        try:
            header = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ProtocolError("a frame's header is not JSON") from error
        if not isinstance(header, dict):
            raise ProtocolError("a frame's header is not a JSON object")
        return header, self._read(body_bytes, deadline)

    def wait(self, seconds: float | None) -> bool:
        """Whether something can be read within that time."""
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        return bool(poller.poll(None if seconds is None else seconds * 1000))

    def close(self) -> None:
        """The other end reads the end of the stream."""
        self._socket.close()

    def _read(self, size: int, deadline: Callable[[], float] | None) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            self._await(deadline)
            count = self._socket.recv_into(view)
            if count == 0:
                raise EOFError("the other end closed")
            view = view[count:]
        return data

    def _await(self, deadline: Callable[[], float] | None) -> None:
        # The deadline may move closer while we wait (a cancel), so it is asked again at every tick.
        while deadline is not None and not self.wait(max(0.0, min(_TICK_SECONDS, deadline() - monotonic()))):
            if monotonic() >= deadline():
                raise TimeoutError("no frame before the deadline")
