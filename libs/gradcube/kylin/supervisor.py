"""Nodes in; they run in their order until `stop`: one that ends or is stuck is started again after a growing pause."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any

import psutil
import structlog

from gradcube.errors import ConfigError
from gradcube.kylin.node import Node
from gradcube.ports import require_free

_log = structlog.get_logger(__name__)
_LOOK_SECONDS = 0.2
_READY_LOOK_SECONDS = 2.0
"""Between two questions to one that answers: each costs it, and us, some milliseconds."""
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 60.0
_STEADY_SECONDS = 120.0
"""Who ran so long begins with the first pause again."""
_STOP_SECONDS = 30.0
_MISSED_SECONDS = 60.0
"""A node that does not answer for so long is stuck. A server that reads a large topic misses single answers."""
_TAIL_BYTES = 32_768
JOB_LOCK = "due to lack of job lock"


@dataclass
class _Run:
    node: Node
    pause_seconds: float
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    heard: float = 0.0
    ready: bool = False
    next_start: float = 0.0
    restarts: int = 0
    reason: str | None = None


class Supervisor:
    """`start()` returns at once; `status()` tells how far it is; `stop()` leaves no process. Any thread may call it."""

    def __init__(self, nodes: Sequence[Node], logs: Path, start_seconds: float) -> None:
        self._runs = [_Run(node, _FIRST_PAUSE_SECONDS) for node in nodes]
        self._logs, self._start_seconds = logs, start_seconds
        self._stopping = Event()
        self._thread = Thread(target=self._watch, name="kylin", daemon=True)

    def start(self) -> None:
        """Raises ConfigError naming who has a port."""
        for run in self._runs:
            require_free(run.node.port, run.node.name)
        self._logs.mkdir(parents=True, exist_ok=True)
        self._thread.start()

    @property
    def checks(self) -> dict[str, bool]:
        """Which nodes answer."""
        return {run.node.name: run.ready for run in self._runs}

    def status(self) -> dict[str, Any]:
        """Of each node: pid, port, whether it answers, how often it was started again, and why it is not well."""
        return {
            run.node.name: {
                "pid": None if run.process is None else run.process.pid, "port": run.node.port, "ready": run.ready,
                "restarts": run.restarts, "reason": run.reason, "memory_mib": _memory_mib(run.process),
            }
            for run in self._runs
        }  # fmt: skip

    def stop(self) -> None:
        """Receivers first, so that they write their checkpoints while ZooKeeper is there."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        for run in reversed(self._runs):
            self._end(run)

    def _watch(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            for run in self._runs:
                self._look_after(run)
                if not run.ready:
                    break  # those behind it need it

    def _look_after(self, run: _Run) -> None:
        now = monotonic()
        if run.process is None:
            if now >= run.next_start:
                self._launch(run, now)
            return
        if run.process.poll() is not None:
            self._lost(run, f"ended with {run.process.returncode}: {self._last_words(run)}")
        elif run.ready and now - run.heard < _READY_LOOK_SECONDS:
            return
        elif run.node.ready():
            run.heard, run.ready, run.reason = now, True, None
        elif now - max(run.heard, run.started) > (_MISSED_SECONDS if run.heard > run.started else self._start_seconds):
            self._lost(run, "does not answer")

    def _launch(self, run: _Run, now: float) -> None:
        run.node.folder.mkdir(parents=True, exist_ok=True)
        with (self._logs / f"{run.node.name}.out").open("wb") as output:
            run.process = subprocess.Popen(
                run.node.command, cwd=run.node.folder, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        run.started, run.ready = now, False
        _log.info("kylin_node_started", node=run.node.name, pid=run.process.pid, port=run.node.port)

    def _lost(self, run: _Run, reason: str) -> None:
        steady = run.heard - run.started > _STEADY_SECONDS
        pause = _FIRST_PAUSE_SECONDS if steady else run.pause_seconds
        _log.error("kylin_node_lost", node=run.node.name, reason=reason, again_in_seconds=pause)
        self._end(run)
        run.reason, run.restarts = reason, run.restarts + 1
        run.next_start = monotonic() + pause
        run.pause_seconds = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _last_words(self, run: _Run) -> str:
        """Of what it wrote; the lock of a killed server, which Kylin names among much else, lives on in ZooKeeper."""
        lines = [
            line.strip() for kind in ("log", "out") for line in self._tail(f"{run.node.name}.{kind}") if line.strip()
        ]
        if any(JOB_LOCK in line for line in lines):
            return "the lock of a server that was killed is still held; it ends within a minute"
        return lines[-1][:300] if lines else "it said nothing"

    def _tail(self, name: str) -> list[str]:
        with suppress(OSError), (self._logs / name).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()
        return []

    def _end(self, run: _Run) -> None:
        run.ready = False
        process, run.process = run.process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            _log.warning("kylin_node_killed", node=run.node.name, reason="it did not stop")
            process.kill()
            process.wait()


def _memory_mib(process: subprocess.Popen[bytes] | None) -> int | None:
    if process is None:
        return None
    try:
        return int(psutil.Process(process.pid).memory_info().rss // 2**20)
    except psutil.Error:
        return None


def require_directory(directory: Path) -> None:
    """Kylin writes paths into its configuration unquoted. Raises ConfigError for one that it would misread."""
    odd = set(str(directory)) & set(" \t#$,@:\\\"'")
    if odd:
        raise ConfigError(f"directory {directory} has {''.join(sorted(odd))!r}, which Kylin misreads; name another")
