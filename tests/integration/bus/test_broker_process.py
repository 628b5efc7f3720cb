"""The broker's process, with a stand-in for Java: how it dies, who is told, and that it never outlives us."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.waiting import wait_until

from gradcube.bus.broker_files import KAFKA_VERSION
from gradcube.bus.local_broker import LocalBroker
from gradcube.errors import BusError, ConfigError

JAVA = """#!/bin/sh
case "$*" in
  -version) echo 'openjdk version "17.0.1"' >&2;;
  *StorageTool*) {format};;
  *) {run};;
esac
"""
STARTS = """
import sys
from pathlib import Path
from gradcube.bus.local_broker import LocalBroker
LocalBroker(Path(sys.argv[1])).start()
"""


def _java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, run: str, format: str = "exit 0") -> None:  # noqa: A002
    java = tmp_path / "java" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(JAVA.format(run=run, format=format))
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache" / "gradcube" / f"kafka-{KAFKA_VERSION}").mkdir(parents=True)


def test_broker_that_dies_is_reported_with_the_end_of_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _java(tmp_path, monkeypatch, run="echo no space left on device; exit 3")
    broker = LocalBroker(tmp_path / "broker")
    with pytest.raises(BusError, match=r"(?s)ended with code 3.*broker\.log.*no space left on device"):
        broker.start()
    with pytest.raises(BusError, match="not running"):
        broker.freeze()


def test_silent_broker_is_given_up_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _java(tmp_path, monkeypatch, run=f"echo $$ > {tmp_path}/pid; exec sleep 600")
    broker = LocalBroker(tmp_path / "broker")
    with pytest.raises(BusError, match="silent"):
        broker.start(timeout_seconds=1)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_data_that_cannot_be_formatted_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _java(tmp_path, monkeypatch, run="exit 0", format="echo read-only; exit 1")
    with pytest.raises(BusError, match=r"(?s)cannot be formatted.*read-only"):
        LocalBroker(tmp_path / "broker").start()


def test_taken_port_names_its_owner_before_anything_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _java(tmp_path, monkeypatch, run="exit 0")
    with socket.create_server(("127.0.0.1", 0)) as server:
        broker = LocalBroker(tmp_path / "broker", port=server.getsockname()[1])
        with pytest.raises(ConfigError, match=r"is taken by .* \(pid \d+\)"):
            broker.start()
    assert not broker.log_path.exists()


def test_ports_of_the_last_start_are_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _java(tmp_path, monkeypatch, run="exit 1")
    first = LocalBroker(tmp_path / "broker")
    with pytest.raises(BusError):
        first.start()
    again = LocalBroker(tmp_path / "broker")
    assert (again.port, again.controller_port) == (first.port, first.controller_port)
    assert LocalBroker(tmp_path / "broker", port=1).port == 1


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_broker_ends_when_its_parent_is_killed(
    end: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _java(tmp_path, monkeypatch, run=f"echo $$ > {tmp_path}/pid; exec sleep 600")
    pid_file = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", STARTS, str(tmp_path / "broker")]) as parent:
        pid = int(wait_until(lambda: pid_file.exists() and pid_file.read_text(), 30, "the broker is started"))
        guards = wait_until(lambda: _guards_of(pid), 10, "its guard is started")
        parent.send_signal(end)
    wait_until(lambda: not _alive(pid), 10, "the broker is ended")
    wait_until(lambda: not any(_alive(guard) for guard in guards), 10, "the guard is ended")


def _guards_of(pid: int) -> list[int]:
    found = psutil.process_iter(["pid", "cmdline"])
    return [process.pid for process in found if (process.info["cmdline"] or [])[-2:] == ["broker-guard", str(pid)]]


def _alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
