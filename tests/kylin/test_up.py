"""A real Kylin: asked, killed in part, stopped."""

import json
import os
import signal
from pathlib import Path

import httpx
import psutil
import pytest
from tests.kylin.conftest import gradcube, nodes
from tests.waiting import wait_until

from gradcube.kylin.accounts import ADMIN, GATEWAY, password

NODES = ["zookeeper", "server", "receiver-0"]


def test_all_parts_answer_on_the_loopback_address_alone(folder: Path) -> None:
    found = nodes(folder)
    assert list(found) == NODES
    assert all(node["ready"] and node["restarts"] == 0 for node in found.values())
    for node in found.values():
        listening = [one for one in psutil.Process(node["pid"]).net_connections() if one.status == "LISTEN"]
        assert node["port"] in {one.laddr.port for one in listening}
        assert {one.laddr.ip.removeprefix("::ffff:") for one in listening} <= {"127.0.0.1", "::1"}, node


def test_made_passwords_let_in_and_kylins_own_do_not(folder: Path) -> None:
    url = f"http://127.0.0.1:{nodes(folder)['server']['port']}/kylin/api/projects"
    for name in (ADMIN, GATEWAY):
        assert httpx.get(url, auth=(name, password(folder / "kylin", name))).status_code == 200
    for name, word in ((ADMIN, "KYLIN"), ("ANALYST", "ANALYST"), ("MODELER", "MODELER")):
        assert httpx.get(url, auth=(name, word)).status_code == 401
    assert httpx.get(url).status_code == 401


def test_passwords_are_in_no_argument_and_no_log(folder: Path) -> None:
    told = "".join(" ".join(psutil.Process(node["pid"]).cmdline()) for node in nodes(folder).values())
    told += "".join(path.read_text(errors="replace") for path in (folder / "kylin" / "logs").iterdir())
    assert all(password(folder / "kylin", name) not in told for name in (ADMIN, GATEWAY))


def test_status_tells_of_each_part(folder: Path) -> None:
    told = json.loads(gradcube(folder, "kylin", "status", "--json").stdout)
    assert [(one["name"], one["pid"], one["ready"]) for one in told] == [
        (name, one["pid"], True) for name, one in nodes(folder).items()
    ]


def test_second_up_is_refused_with_the_way_out(folder: Path) -> None:
    again = gradcube(folder, "kylin", "up")
    assert again.returncode == 78
    assert "gradcube kylin status" in " ".join(again.stderr.split())


@pytest.mark.parametrize("name", ["receiver-0", "server"])
def test_killed_part_comes_back_by_itself(folder: Path, name: str) -> None:
    before = nodes(folder)[name]
    os.kill(before["pid"], signal.SIGKILL)
    wait_until(lambda: nodes(folder)[name]["restarts"] > before["restarts"], 60, "its end is seen", 0.5)
    wait_until(lambda: all(node["ready"] for node in nodes(folder).values()), 180, f"{name} is back", 1.0)
    assert nodes(folder)[name]["pid"] != before["pid"]


def test_down_leaves_nothing_and_the_next_up_has_the_same_ports(folder: Path) -> None:
    before = nodes(folder)
    assert gradcube(folder, "kylin", "down").returncode == 0
    assert not any(psutil.pid_exists(node["pid"]) for node in before.values())
    assert "does not run" in gradcube(folder, "kylin", "status").stdout
    assert gradcube(folder, "kylin", "up").returncode == 0
    assert {name: node["port"] for name, node in nodes(folder).items()} == {n: one["port"] for n, one in before.items()}
