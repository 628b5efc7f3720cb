"""One shard as the trainer sees it: sends a request, connects again until the answer is there or time is up."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import structlog
from numpy.typing import NDArray

from gradcube.errors import PeerLost, ProtocolError, SyncError
from gradcube.sync.frames import (
    HEADER_BYTES,
    MESSAGE_LIMIT_BYTES,
    Header,
    Kind,
    as_bytes,
    check_crc,
    check_length,
    check_limit,
    pack,
    parse,
)
from gradcube.sync.transport import Connection, connect

log = structlog.get_logger(__name__)

FloatArray = NDArray[np.float32]
_PAUSE_SECONDS = 0.1
_EMPTY = memoryview(b"")


@dataclass(frozen=True, slots=True)
class Answer:
    """A shard's answer: parameters lie in the target array; `payload` holds a message or list of versions."""

    header: Header
    payload: bytes
    sent_at: float


class ShardLink:
    """Requests to `shard`, one at a time; not for several threads at once.

    Every request is idempotent, so after a broken connection it is simply sent again, to the address that
    `locate` gives by then.
    """

    def __init__(self, shard: int, locate: Callable[[], str], timeout_seconds: float) -> None:
        self._shard = shard
        self._locate = locate
        self._timeout_seconds = timeout_seconds
        self._connection: Connection | None = None
        self._request = 0
        self._raw = bytearray(HEADER_BYTES)

    def ask(self, header: Header, payload: FloatArray | None = None, into: FloatArray | None = None) -> Answer:
        """The answer to `header` with `payload`; parameters are received into `into`.

        Raises PeerLost after `timeout_seconds` without one, SyncError when the shard refused.
        """
        deadline = time.monotonic() + self._timeout_seconds
        while True:
            try:
                answer = self._ask_once(header, payload, into, deadline)
            except (PeerLost, ProtocolError) as error:
                self.close()
                if time.monotonic() + _PAUSE_SECONDS >= deadline:
                    raise PeerLost(self._explain(error)) from error
                log.warning("shard_asked_again", shard=self._shard, kind=header.kind.name, error=str(error))
                time.sleep(_PAUSE_SECONDS)
                continue
            if answer.header.kind is Kind.REFUSED:
                raise SyncError(
                    f"shard {self._shard} refused {header.kind.name}: {answer.payload.decode(errors='replace')}"
                )
            if answer.header.kind is not Kind.RETRY:
                return answer
            if time.monotonic() >= deadline:
                raise PeerLost(self._explain("it waits for the other ranks, or for news of the membership"))

    def close(self) -> None:
        """Closes the connection; the next request opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask_once(self, header: Header, payload: FloatArray | None, into: FloatArray | None, deadline: float) -> Answer:
        left = max(deadline - time.monotonic(), _PAUSE_SECONDS)
        if self._connection is None:
            self._connection = connect(self._locate(), left)
        self._connection.set_timeout(left)
        self._request = (self._request + 1) % 2**32
        view = _EMPTY if payload is None else as_bytes(payload)
        self._connection.send(pack(_addressed(header, self._request, self._shard), view), view)
        return self._receive(self._connection, into, time.monotonic())

    def _receive(self, connection: Connection, into: FloatArray | None, sent_at: float) -> Answer:
        connection.receive_into(memoryview(self._raw))
        header = parse(self._raw)
        if header.request != self._request or header.shard != self._shard:
            raise ProtocolError(f"answer to request {header.request} of shard {header.shard}, expected {self._request}")
        if header.kind is Kind.PARAMETERS and into is not None:
            check_length(header, into.nbytes)
            target = as_bytes(into)
        else:
            check_limit(header, MESSAGE_LIMIT_BYTES)
            target = memoryview(bytearray(header.length))
        connection.receive_into(target)
        check_crc(self._raw, header, target)
        return Answer(header, b"" if header.kind is Kind.PARAMETERS else target.tobytes(), sent_at)

    def _explain(self, reason: object) -> str:
        return f"shard {self._shard} did not answer within {self._timeout_seconds} s: {reason}"


def _addressed(header: Header, request: int, shard: int) -> Header:
    return replace(header, request=request, shard=shard)
