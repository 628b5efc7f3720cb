"""The demo as a stranger runs it: the slowed worker is named, the books agree, and nothing is left behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
import psutil
import pytest
from tests.waiting import wait_until

from gradcube.cli import state
from gradcube.cli.run import LocalRun, RunSettings
from gradcube.ports import owner_of

pytestmark = pytest.mark.timeout(290)


def begin(temp: Path, *options: str) -> subprocess.Popen[str]:
    """The demo as a process; its temporary folder lies in `temp`, which also marks its processes."""
    command = [sys.executable, "-m", "gradcube.cli.main", "demo", *options]
    env = {**os.environ, "TMPDIR": str(temp), "OMP_NUM_THREADS": "1", "COLUMNS": "400"}
    return subprocess.Popen(
        command,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has SIGINT ignored, and so would all its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def demo(temp: Path, *options: str) -> subprocess.CompletedProcess[str]:
    process = begin(temp, *options)
    try:
        out, err = process.communicate(timeout=270)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def processes_of(temp: Path) -> list[psutil.Process]:
    """Live processes that have `temp` in their command line or environment."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *process.environ().values()]
            if process.pid != os.getpid() and any(str(temp) in word for word in words):
                found.append(process)
        except psutil.Error:
            continue
    return found


def listening_ports(processes: Sequence[psutil.Process]) -> set[int]:
    return {
        connection.laddr.port
        for process in processes
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


def steps_done(temp: Path) -> int:
    """Steps of the demo's run so far; 0 while its services start."""
    for folder in temp.glob("gradcube-demo-*"):
        services = state.read(folder)
        if services is not None:
            try:
                return LocalRun(services, RunSettings("demo", 4, 5000, 0)).steps_done()
            except httpx.HTTPError:
                return 0
    return 0


def assert_nothing_left(temp: Path) -> None:
    wait_until(lambda: not processes_of(temp), 10, "the demo's processes are gone")
    assert not list(temp.glob("gradcube-demo-*"))


def test_demo_names_the_slowed_rank_and_the_books_agree(tmp_path: Path) -> None:
    report_file = tmp_path / "report.json"
    ended = demo(tmp_path, "--steps", "160", "--json", str(report_file))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    report = json.loads(report_file.read_text())
    assert report["rank"] == report["slowed_rank"]
    assert report["onset_step"] <= report["detected_step"] <= report["end_step"]
    counts = report["counts"]
    assert counts["steps_trained"] == 4 * 160 == counts["records_sent_and_dropped"]
    assert counts["records_read_and_dropped"] == counts["steps_trained"] == counts["records_in_facts_and_dropped"]
    assert counts["facts_written"] == counts["rows_in_the_cube"] > 0
    assert report["sql"]
    assert all(answer["rows"] for answer in report["sql"])
    assert report["verdict"] in ended.stdout
    assert_nothing_left(tmp_path)


def test_demo_without_a_slow_worker_raises_no_finding(tmp_path: Path) -> None:
    report_file = tmp_path / "report.json"
    ended = demo(tmp_path, "--no-slow", "--steps", "80", "--json", str(report_file))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    report = json.loads(report_file.read_text())
    assert report["rank"] is None
    assert report["verdict"] is None
    assert_nothing_left(tmp_path)


def test_interrupted_demo_leaves_no_process_port_or_folder(tmp_path: Path) -> None:
    process = begin(tmp_path, "--no-slow", "--steps", "5000")
    try:
        wait_until(lambda: steps_done(tmp_path) >= 3, 120, "training is under way", every_seconds=0.5)
        ports = listening_ports(processes_of(tmp_path))
        assert ports
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode in {1, 130}
    assert_nothing_left(tmp_path)
    assert [owner_of(port) for port in ports] == [None] * len(ports)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--workers", "2"), "a slow rank needs at least two peers"),
        (("--slow-rank", "4"), "there are ranks 0 to 3"),
        (("--slow-factor", "1"), "must be above 1"),
        (("--data", "/no/such/folder"), "no such folder"),
    ],
)
def test_options_that_cannot_work_are_refused_with_a_sentence(
    tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    ended = demo(tmp_path, *options)
    assert ended.returncode == 78
    assert words in ended.stderr
    assert_nothing_left(tmp_path)
