"""The throttle: takes about its share of the CPU time, and always lets the process go on at the end."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest
from tests.waiting import wait_until

SPINNER = [sys.executable, "-c", "while True: pass"]


@pytest.fixture
def spinner() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(SPINNER) as child:
        yield child
        child.kill()


def throttle(pid: int, share: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "gradcube.cli.throttle", str(pid), str(share)])


def stopped(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


def cpu_seconds(pid: int) -> float:
    return psutil.Process(pid).cpu_times().user


def test_throttled_process_gets_less_than_an_equal_that_runs_freely(spinner: subprocess.Popen[bytes]) -> None:
    with subprocess.Popen(SPINNER) as free:
        slower = throttle(spinner.pid, 0.2)
        wait_until(lambda: stopped(spinner.pid), 20, "the throttle works")
        slow_before, free_before = cpu_seconds(spinner.pid), cpu_seconds(free.pid)
        wait_until(lambda: cpu_seconds(free.pid) - free_before > 1, 60, "the free process used a second")
        slow, unhindered = cpu_seconds(spinner.pid) - slow_before, cpu_seconds(free.pid) - free_before
        slower.terminate()
        slower.wait(10)
        free.kill()
    assert 0 < slow < 0.7 * unhindered


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_runs_on_when_the_throttle_ends(spinner: subprocess.Popen[bytes], number: signal.Signals) -> None:
    slower = throttle(spinner.pid, 0.1)
    wait_until(lambda: stopped(spinner.pid), 20, "the throttle works")
    slower.send_signal(number)
    assert slower.wait(10) == 0
    wait_until(lambda: not stopped(spinner.pid), 5, "the process runs on")


def test_throttle_ends_with_its_process(spinner: subprocess.Popen[bytes]) -> None:
    slower = throttle(spinner.pid, 0.5)
    wait_until(lambda: stopped(spinner.pid), 20, "the throttle works")
    os.kill(spinner.pid, signal.SIGKILL)
    spinner.wait(10)
    assert slower.wait(10) == 0


def test_throttle_without_arguments_says_how_it_is_used() -> None:
    ended = subprocess.run([sys.executable, "-m", "gradcube.cli.throttle"], capture_output=True, text=True, check=False)
    assert ended.returncode == 64
    assert "PID SHARE" in ended.stderr
