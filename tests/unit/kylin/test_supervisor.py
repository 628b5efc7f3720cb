"""The supervisor with small Python servers in the place of Kylin's processes."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from tests.waiting import wait_until

from gradcube.errors import ConfigError
from gradcube.kylin import supervisor as module
from gradcube.kylin.node import Node
from gradcube.kylin.supervisor import Supervisor
from gradcube.ports import free_port

WAITS = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [15]); {up}; signal.sigwait([15]); {down}"
# Marks its life in a file, and its end after TERM in another.
ENDS_WELL = WAITS.format(
    up="import pathlib, sys; alive = pathlib.Path(sys.argv[1]); alive.write_text('up')",
    down="alive.unlink(); open(sys.argv[2], 'a').write(alive.name + ' ')",
)
Make = Callable[..., Supervisor]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """A supervisor of nodes by name and program, started; `alive` files say who is up."""
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(module, "_FIRST_PAUSE_SECONDS", 0.02)
    made: list[Supervisor] = []

    def start(programs: dict[str, str], start_seconds: float = 30.0) -> Supervisor:
        nodes = [node(tmp_path, name, program) for name, program in programs.items()]
        made.append(Supervisor(nodes, tmp_path / "logs", start_seconds))
        made[0].start()
        return made[0]

    yield start
    for one in made:
        one.stop()


def node(folder: Path, name: str, program: str) -> Node:
    alive = folder / f"{name}.alive"
    command = (sys.executable, "-S", "-c", program, str(alive), str(folder / "ended"))
    return Node(name, command, folder / name, free_port(), alive.exists)


def test_nodes_start_in_order_and_stop_in_the_other(make: Make, tmp_path: Path) -> None:
    waits = f"import pathlib; assert pathlib.Path({str(tmp_path / 'first.alive')!r}).exists(); "
    supervisor = make({"first": ENDS_WELL, "second": waits + ENDS_WELL})
    wait_until(lambda: all(supervisor.checks.values()), 20, "both are ready")
    pids = [one["pid"] for one in supervisor.status().values()]
    supervisor.stop()
    assert (tmp_path / "ended").read_text().split() == ["second.alive", "first.alive"]
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_killed_node_is_started_again(make: Make, tmp_path: Path) -> None:
    supervisor = make({"only": ENDS_WELL})
    wait_until(lambda: supervisor.checks["only"], 20, "it is ready")
    first = supervisor.status()["only"]["pid"]
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: supervisor.status()["only"]["restarts"] == 1, 20, "its end is seen")
    wait_until(lambda: supervisor.status()["only"]["pid"] not in (first, None), 20, "it runs again")
    wait_until(lambda: supervisor.checks["only"], 20, "it is ready again")
    assert supervisor.status()["only"]["reason"] is None


def test_node_that_ends_at_once_is_tried_less_and_less_and_says_why(make: Make) -> None:
    supervisor = make({"bad": "print('no way'); raise SystemExit(3)", "next": ENDS_WELL})
    wait_until(lambda: supervisor.status()["bad"]["restarts"] >= 3, 20, "it was tried again")
    told = supervisor.status()
    assert told["bad"]["reason"] == "ended with 3: no way"
    assert (told["next"]["pid"], told["next"]["ready"]) == (None, False)


def test_lock_of_a_killed_server_is_named(make: Make) -> None:
    supervisor = make({"server": f"print('Cannot start {module.JOB_LOCK} now'); raise SystemExit(1)"})
    wait_until(lambda: supervisor.status()["server"]["restarts"], 20, "it ended")
    assert "ends within a minute" in supervisor.status()["server"]["reason"]


def test_node_that_never_answers_is_ended_and_started_again(make: Make) -> None:
    supervisor = make({"mute": WAITS.format(up="pass", down="pass")}, start_seconds=0.3)
    wait_until(lambda: supervisor.status()["mute"]["restarts"] >= 1, 20, "it is given up")
    assert supervisor.status()["mute"]["reason"] == "does not answer"


def test_taken_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        alive = Node("server", (sys.executable,), tmp_path, taken.getsockname()[1], lambda: True)
        with pytest.raises(ConfigError, match=r"server port 127\.0\.0\.1:\d+ is taken"):
            Supervisor([alive], tmp_path, 1).start()
    assert not (tmp_path / "server.out").exists()
