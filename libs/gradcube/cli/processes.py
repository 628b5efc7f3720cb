"""One child process of the command: started with its own log, waited for until ready, stopped by pid.

A pid alone can be another process tomorrow, so a process is known by its pid and its start time.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

from gradcube.errors import GradcubeError

_PR_SET_PDEATHSIG = 1
_children: list[subprocess.Popen[bytes]] = []
"""What this process has started and not yet seen the end of."""


class ServiceFailed(GradcubeError):
    """A local service ended or did not become ready; carries the end of its log."""

    exit_code = 69


@dataclass(frozen=True)
class LocalProcess:
    """A running process and where it answers. `address` and `health` may be empty for trainers."""

    name: str
    pid: int
    started_at: float
    address: str
    health: str
    log: str

    @classmethod
    def of(cls, name: str, pid: int, *, address: str, health: str, log: Path) -> Self:
        """Describes the live process `pid`."""
        return cls(name, pid, psutil.Process(pid).create_time(), address, health, str(log))

    def alive(self) -> bool:
        """Whether that very process still runs (a zombie does not)."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started_at) < 1
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def health_now(self) -> str:
        """'ready', 'not ready', 'no answer', 'running' (has no health address) or 'stopped'."""
        if not self.alive():
            return "stopped"
        if not self.health:
            return "running"
        try:
            answer = httpx.get(f"{self.health}/ready", timeout=2)
        except httpx.HTTPError:
            return "no answer"
        return "ready" if answer.status_code == 200 else "not ready"

    def as_dict(self) -> dict[str, Any]:
        """For the state file."""
        return asdict(self)


def start(
    name: str,
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path,
    with_parent: bool,
    address: str = "",
    health: str = "",
) -> tuple[LocalProcess, subprocess.Popen[bytes]]:
    """Starts `command` in a session of its own; `with_parent` ends it when this process dies, however it dies."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            list(command),
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent if with_parent and sys.platform == "linux" else None,
        )
    _children.append(child)
    return LocalProcess.of(name, child.pid, address=address, health=health, log=log), child


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def wait_ready(process: LocalProcess, timeout_seconds: float) -> None:
    """Until the process says it is ready. Raises ServiceFailed with the log's end when it ends or takes too long."""
    deadline = time.monotonic() + timeout_seconds
    while (state := process.health_now()) != "ready":
        if state == "stopped":
            raise ServiceFailed(f"{process.name} ended while starting: {log_tail(process)}")
        if time.monotonic() > deadline:
            raise ServiceFailed(
                f"{process.name} is {state} after {timeout_seconds:.0f} s (log {process.log}): {log_tail(process)}"
            )
        time.sleep(0.1)


def log_tail(process: LocalProcess, lines: int = 5) -> str:
    """The last lines of the process's log."""
    try:
        text = Path(process.log).read_text(errors="replace")
    except OSError:
        return "(no log)"
    return " | ".join(line.strip() for line in text.splitlines()[-lines:]) or "(empty log)"


def stop(processes: Sequence[LocalProcess], timeout_seconds: float = 20) -> list[LocalProcess]:
    """TERM to all, then KILL. A stopped (SIGSTOP) process is continued first. Returns those that were killed."""
    for process in processes:
        _signal(process, signal.SIGCONT)
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + timeout_seconds
    while any(process.alive() for process in processes) and time.monotonic() < deadline:
        _reap()
        time.sleep(0.05)
    killed = [process for process in processes if process.alive()]
    for process in killed:
        _signal(process, signal.SIGKILL)
    _reap()
    return killed


def _signal(process: LocalProcess, number: signal.Signals) -> None:
    if process.alive():
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            return  # ended in between, which is what we want


def _reap() -> None:
    """Collects our own ended children, so that none stays as a zombie."""
    _children[:] = [child for child in _children if child.poll() is None]
