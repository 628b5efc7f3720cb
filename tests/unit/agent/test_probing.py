"""Probes of real sockets and folders, and of such as hang."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.waiting import wait_until

from gradcube.ports import free_port
from gradcube_agent.probing import Prober, reach_seconds
from gradcube_agent.targets import Target, parse_targets

PATIENT = 30.0


def target(text: str) -> Target:
    return parse_targets(text)[0]


def prober(*targets: Target, probe: Callable[[Target, float], float | None] = reach_seconds) -> Prober:
    return Prober(lambda: targets, interval_seconds=0.01, timeout_seconds=0.5, probe=probe)


def test_a_listening_socket_is_reached_and_a_closed_port_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        seconds = reach_seconds(target(f"server=127.0.0.1:{listening.getsockname()[1]}"), PATIENT)
    assert seconds is not None
    assert 0 < seconds < PATIENT
    assert reach_seconds(target(f"server=127.0.0.1:{free_port()}"), PATIENT) is None


@pytest.mark.parametrize("place", ["a..b:1", "127.0.0.1.invalid:1"])
def test_a_name_that_cannot_be_looked_up_is_not_reached(place: str) -> None:
    assert reach_seconds(target(f"gateway={place}"), PATIENT) is None


def test_a_folder_that_can_be_written_is_reached_and_left_as_it_was(tmp_path: Path) -> None:
    assert reach_seconds(target(f"store={tmp_path}"), PATIENT) is not None
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    assert reach_seconds(target(f"store={tmp_path}/file"), PATIENT) is None
    assert reach_seconds(target(f"store={tmp_path}/missing"), PATIENT) is None


def test_what_hangs_is_not_reached_and_holds_nobody_else_up() -> None:
    release, asked = threading.Event(), list[str]()

    def probe(what: Target, _timeout_seconds: float) -> float:
        asked.append(what.name)
        if what.name == "hangs:1":
            release.wait(PATIENT)
        return 0.25

    own = prober(target("server=hangs:1"), target("server=answers:1"), probe=probe)
    for _ in range(3):
        assert [each["seconds"] for each in own.round()] == [None, 0.25]
    assert asked.count("hangs:1") == 1, "no second thread for what hangs"
    release.set()
    found = wait_until(lambda: reached if (reached := own.round())[0]["seconds"] else None, 10, "the end of the hang")
    assert found[0] == {"dependency": "SERVER", "name": "hangs:1", "seconds": 0.25}


def test_a_round_is_taken_once() -> None:
    rounds = list[int]()

    def probe(*_: object) -> float:
        rounds.append(len(rounds))
        return 0.5

    own = Prober(lambda: [target("store=/x")], interval_seconds=PATIENT, timeout_seconds=PATIENT, probe=probe)
    own.start()
    taken = wait_until(own.take, 10, "the first round")
    assert taken == own.latest == [{"dependency": "STORE", "name": "/x", "seconds": 0.5}]
    assert own.take() == []
    own.close()
    assert rounds == [0]


def test_targets_are_asked_for_in_each_round_and_probed_once_however_often_they_are_named() -> None:
    wanted = [target("store=/x")]
    own = Prober(lambda: wanted, interval_seconds=1, timeout_seconds=PATIENT, probe=lambda *_: 0.5)
    assert len(own.round()) == 1
    wanted += [target("store=/x"), target("gateway=a:1")]
    assert [each["name"] for each in own.round()] == ["/x", "a:1"]
