"""Child processes: known by pid and start time, ended even when stopped, their failures told with the log's end."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tests.waiting import wait_until

from gradcube.cli import processes
from gradcube.cli.processes import LocalProcess, ServiceFailed

IDLE = "import signal; print('up', flush=True); signal.pause()"
STUBBORN = "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"
CHILDREN: list[subprocess.Popen[bytes]] = []
"""Popen objects, kept so that none complains of being forgotten before it was polled."""


@pytest.fixture(autouse=True)
def ended_children() -> Iterator[None]:
    yield
    for child in CHILDREN:
        child.kill()
        child.wait()
    CHILDREN.clear()


def begin(folder: Path, code: str) -> LocalProcess:
    log = folder / "child.log"
    process, child = processes.start("child", [sys.executable, "-c", code], env={}, log=log, with_parent=True)
    CHILDREN.append(child)
    return process


def begin_and_wait(folder: Path, code: str) -> LocalProcess:
    process = begin(folder, code)
    wait_until(lambda: "up" in (folder / "child.log").read_text(), 20, "the child is up")
    return process


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[LocalProcess]:
    process = begin_and_wait(tmp_path, IDLE)
    yield process
    processes.stop([process], timeout_seconds=5)


def test_started_process_runs_until_it_is_stopped(idle: LocalProcess) -> None:
    assert idle.alive()
    assert idle.health_now() == "running"
    assert processes.stop([idle]) == []
    assert idle.health_now() == "stopped"


def test_pid_with_another_start_time_is_another_process(idle: LocalProcess) -> None:
    stranger = replace(idle, started_at=idle.started_at - 60)
    assert not stranger.alive()
    processes.stop([stranger], timeout_seconds=0)
    assert idle.alive()


def test_stopped_process_is_continued_and_ended(idle: LocalProcess) -> None:
    os.kill(idle.pid, signal.SIGSTOP)
    wait_until(lambda: psutil.Process(idle.pid).status() == psutil.STATUS_STOPPED, 10, "the child is stopped")
    assert processes.stop([idle]) == []
    assert not idle.alive()


def test_process_that_ignores_term_is_killed_and_returned(tmp_path: Path) -> None:
    process = begin_and_wait(tmp_path, STUBBORN)
    assert processes.stop([process], timeout_seconds=0.2) == [process]
    wait_until(lambda: not process.alive(), 10, "the stubborn child is gone")


def test_process_that_ends_while_starting_is_told_with_its_last_words(tmp_path: Path) -> None:
    process = replace(begin(tmp_path, "raise SystemExit('no disk')"), health="http://127.0.0.1:1")
    wait_until(lambda: not process.alive(), 20, "the child has ended")
    with pytest.raises(ServiceFailed, match=r"child ended while starting: .*no disk"):
        processes.wait_ready(process, 5)


def test_process_that_never_answers_is_told_after_the_deadline(idle: LocalProcess) -> None:
    silent = replace(idle, health="http://127.0.0.1:1")
    with pytest.raises(ServiceFailed, match="child is no answer"):
        processes.wait_ready(silent, 0)


def test_missing_log_is_said(idle: LocalProcess, tmp_path: Path) -> None:
    assert processes.log_tail(replace(idle, log=str(tmp_path / "none"))) == "(no log)"
