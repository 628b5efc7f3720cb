"""One child process as the pool sees it: started, asked, cancelled, ended; what it sends is checked, not trusted."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import pyarrow as pa

from gradcube.cube.sandbox.explain import explain
from gradcube.cube.sandbox.frames import Channel
from gradcube.cube.sandbox.request import (
    Cancelled,
    EngineLost,
    EngineMissing,
    PoolSettings,
    Request,
    Result,
    TimedOut,
)
from gradcube.errors import ProtocolError, QueryError

GRACE_SECONDS = 1.0  # between the interrupt and the kill
_START_SECONDS = 60.0
_SEND_SECONDS = 5.0
_END_SECONDS = 2.0
_FRAME_SLACK_BYTES = 2**20


class ChildProcess:
    """Raises EngineMissing when it cannot be started. `walls` says which of the kernel's walls stand around it."""

    def __init__(self, directory: Path, settings: PoolSettings) -> None:
        try:
            self._process, ours = _start()
        except OSError as error:
            raise EngineMissing(f"The query engine cannot be started: {error.strerror}") from error
        self._channel = Channel(ours, send_seconds=_SEND_SECONDS)
        self.walls = self._open(directory, settings)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended (one that has is reaped here)."""
        return self._process.poll() is None

    def ask(self, request: Request, deadline: Callable[[], float], told: Callable[[dict[str, Any]], None]) -> Result:
        """The answer. After any other error than a QueryError of the statement itself the child must be ended.

        `told` hears of started and progress. Raises EngineLost, TimeoutError past `deadline()`, ProtocolError.
        """
        started = monotonic()
        try:
            self._channel.send({
                "kind": "run", "sql": request.sql, "views": [[view.name, view.sql] for view in request.views],
                "max_rows": request.max_rows, "max_bytes": request.max_bytes,
                "timeout_seconds": request.timeout_seconds,
            })  # fmt: skip
            return self._collect(request, deadline, told, started)
        except (EOFError, BrokenPipeError, ConnectionError) as error:
            raise EngineLost("The process that ran the query ended.", hint="Ask for less, or ask again.") from error

    def cancel(self) -> None:
        """Interrupts what runs; the answer to come is an error."""
        with suppress(OSError):  # it has ended: whoever waits for it reads that
            self._channel.send({"kind": "cancel"})

    def end(self, *, kill: bool = False) -> None:
        """Closes the socket, which ends an idle child; one that does not end is killed. Nothing is left behind."""
        if kill:
            self._process.kill()
        self._channel.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _open(self, directory: Path, settings: PoolSettings) -> dict[str, str]:
        deadline = monotonic() + _START_SECONDS
        try:
            self._channel.send(settings.to_child(str(directory)))
            ready, _ = self._channel.receive(0, lambda: deadline)
        except (OSError, EOFError, ProtocolError) as error:
            self.end(kill=True)
            raise EngineMissing("The query engine cannot be started.", hint="The gateway's log says why.") from error
        if ready.get("kind") != "ready":
            self.end(kill=True)
            raise EngineMissing(f"The query engine cannot be started: {ready.get('message')}")
        return dict(ready.get("walls", {}))

    def _collect(
        self, request: Request, deadline: Callable[[], float], told: Callable[[dict[str, Any]], None], started: float
    ) -> Result:
        schema, rows, size_bytes = pa.schema([]), 0, 0
        types: tuple[str, ...] = ()
        batches: list[pa.RecordBatch] = []
        while True:
            header, body = self._channel.receive(request.max_bytes + _FRAME_SLACK_BYTES, deadline)
            kind = header.get("kind")
            if kind == "columns":
                (schema, _), types = _read(body), _types(header.get("types"))
            elif kind == "batch":
                more = _read(body)[1]
                batches += more
                rows += sum(batch.num_rows for batch in more)
                size_bytes += sum(batch.nbytes for batch in more)
                if rows > request.max_rows or size_bytes > request.max_bytes:
                    raise ProtocolError("a query process sent more than it was asked for")
            elif kind == "done":
                return Result(schema, types, tuple(batches), header.get("partial") is True, monotonic() - started)
            elif kind == "failed":
                raise _failure(header, request)
            else:
                told(header)


def _start() -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "gradcube.cube.sandbox.child"],
                stdin=theirs.fileno(), stdout=subprocess.DEVNULL, cwd="/", env=_environment(), start_new_session=True,
            )  # fmt: skip
        except OSError:
            ours.close()
            raise
    return process, ours


def _read(body: bytearray) -> tuple[pa.Schema, list[pa.RecordBatch]]:
    """One Arrow stream, every buffer checked: a child that was taken over may send offsets that point anywhere."""
    try:
        with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
            batches = list(reader)
            for batch in batches:
                batch.validate(full=True)
            return reader.schema, batches
    except (pa.ArrowException, OSError) as error:
        raise ProtocolError(f"a query process sent something that is not Arrow: {error}") from error


def _types(names: Any) -> tuple[str, ...]:
    if not isinstance(names, list):
        raise ProtocolError("a query process named no types")
    return tuple(map(str, names))


def _environment() -> dict[str, str]:
    """Where Python finds its modules, and nothing else of ours: no address, no secret."""
    paths = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
    return {
        "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8",
        # Threads that start with an import would stand outside the walls.
        "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false",
    }  # fmt: skip


def _failure(header: dict[str, Any], request: Request) -> QueryError:
    code, message = header.get("code"), str(header.get("message"))
    if code == "timeout":
        return TimedOut(f"Query timeout after {request.timeout_seconds:g} seconds.", hint="Narrow the time.")
    if code == "cancelled":
        return Cancelled("The query was cancelled.")
    if code == "memory":
        return QueryError("The query needs more memory than it may use.", hint="Narrow the time or group by less.")
    return QueryError(message) if code == "refused" else explain(message)
