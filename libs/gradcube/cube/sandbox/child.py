"""`python -m gradcube.cube.sandbox.child`, started by the pool with its socket as standard input; nobody else needs it.

Frames in: the settings, then run and cancel. Frames out: ready, then for each run started, columns, batch, progress,
and done or failed. The end of the socket is the end of the process, whatever it is doing.
"""

import os
import socket
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from time import monotonic
from typing import Any

import duckdb
import pyarrow as pa

from gradcube.cube.sandbox.confinement import confine, limit_cpu
from gradcube.cube.sandbox.frames import Channel
from gradcube.cube.sandbox.session import Session, Shape
from gradcube.errors import ProtocolError, QueryError

_TICK_SECONDS = 0.2


@dataclass
class _Run:
    request: dict[str, Any]
    deadline: float
    rows: int = 0
    cancelled: bool = False


class Child:
    """The main thread runs queries; a second one listens, keeps the time and tells the progress."""

    def __init__(self, channel: Channel, session: Session, threads: int) -> None:
        self._channel, self._session, self._threads = channel, session, threads
        self._runs: SimpleQueue[_Run] = SimpleQueue()
        self._run: _Run | None = None

    def serve(self) -> None:
        """Until the socket ends, which ends the process."""
        Thread(target=self._listen, daemon=True).start()
        while True:
            self._answer(self._runs.get())

    def _answer(self, run: _Run) -> None:
        limit_cpu((run.request["timeout_seconds"] + 2) * (self._threads + 1))
        self._channel.send({"kind": "started"})
        try:
            last = {"kind": "done", "partial": self._send_rows(run)}
        except (QueryError, duckdb.Error, pa.ArrowException, MemoryError, OSError, RecursionError, ValueError) as error:
            last = {"kind": "failed", **_explain(error, run)}
        self._run = None  # before the last word: the next request may follow at once
        self._channel.send(last)

    def _send_rows(self, run: _Run) -> bool:
        request, most = run.request, run.request["max_rows"]
        parts = self._session.run(request["sql"], request["views"], most, request["max_bytes"])
        with closing(parts):
            for part in parts:
                if isinstance(part, Shape):
                    self._channel.send({"kind": "columns", "types": part.types}, _ipc(part.schema, []))
                    continue
                more = run.rows + part.num_rows > most
                self._channel.send({"kind": "batch"}, _ipc(part.schema, [part.slice(0, most - run.rows)]))
                run.rows = min(most, run.rows + part.num_rows)
                if more:
                    return True
                if run.cancelled or monotonic() > run.deadline:
                    raise duckdb.InterruptException("stopped while rows were sent")
        return False

    def _listen(self) -> None:
        while True:
            if self._channel.wait(_TICK_SECONDS if self._run else None):
                self._read_frame()
            elif run := self._run:
                self._tick(run)

    def _read_frame(self) -> None:
        try:
            frame, _ = self._channel.receive(0)
        except (EOFError, OSError, ProtocolError):
            os._exit(0)  # nobody is left who could want an answer
        if frame["kind"] == "run":
            self._run = _Run(frame, monotonic() + frame["timeout_seconds"])
            self._runs.put(self._run)
        elif run := self._run:
            run.cancelled = True
            self._session.interrupt()

    def _tick(self, run: _Run) -> None:
        if run.cancelled or monotonic() > run.deadline:
            self._session.interrupt()  # again at every tick: one that comes between two steps is lost
        with suppress(OSError):  # the listener reads the end of the socket next
            self._channel.send({"kind": "progress", "percent": self._session.percent(), "rows": run.rows})


def _explain(error: Exception, run: _Run) -> dict[str, Any]:
    if run.cancelled or isinstance(error, duckdb.InterruptException):
        return {"code": "cancelled" if run.cancelled else "timeout", "message": ""}
    if isinstance(error, MemoryError | duckdb.OutOfMemoryException | pa.ArrowMemoryError):
        return {"code": "memory", "message": ""}
    if isinstance(error, QueryError):
        return {"code": "refused", "message": str(error)[:2000]}
    return {"code": "engine", "message": (str(error).strip().splitlines() or ["failed"])[0][:2000]}


def _ipc(schema: pa.Schema, batches: list[pa.RecordBatch]) -> memoryview:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return memoryview(sink.getvalue())


def _warm_up(session: Session) -> None:
    """What Python imports only at a first query is imported before files are out of reach."""
    for part in session.run("SELECT 1 AS a", [], 1, 100):
        if isinstance(part, pa.RecordBatch):
            _ipc(part.schema, [part])


def main() -> None:
    """Confines itself before the first statement and silences itself: what goes wrong goes into a frame."""
    channel = Channel(socket.socket(fileno=0))
    try:
        settings, _ = channel.receive(0)
    except EOFError:
        return
    try:
        walls, session = _open(settings)
    except (OSError, MemoryError, duckdb.Error) as error:
        channel.send({"kind": "failed", "message": f"{type(error).__name__}: {error}"[:2000]})
        return
    channel.send({"kind": "ready", "walls": walls})
    Child(channel, session, settings["threads"]).serve()


def _open(settings: dict[str, Any]) -> tuple[dict[str, str], Session]:
    session = Session(settings["directory"], settings["schema"], settings["memory_bytes"])
    _warm_up(session)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    walls = confine(Path(settings["directory"]), settings["memory_bytes"])
    session.lock(settings["threads"])
    return walls, session


if __name__ == "__main__":
    main()
