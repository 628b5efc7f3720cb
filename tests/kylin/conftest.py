"""One Kylin for all tests of this folder, started by the command. The first run ever fetches 148 MB."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.waiting import wait_until

from gradcube.cube.deploy.kylin import KylinDeployment
from gradcube.cube.deploy.plan import carry_out, plan_drop
from gradcube.kylin.rest import KylinRest
from gradcube.ports import free_port


def gradcube(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command with its state in `folder`."""
    return subprocess.run(
        [sys.executable, "-c", "from gradcube.cli.main import main; main()", *arguments],
        env=os.environ | {"GRADCUBE_HOME": str(folder)}, capture_output=True, text=True, timeout=420, check=False,
    )  # fmt: skip


def nodes(folder: Path) -> dict[str, dict[str, Any]]:
    """What the supervisor tells of its parts, by name: asked directly, since tests ask often."""
    health = json.loads((folder / "kylin" / "state.json").read_text())["health"]
    return dict(httpx.get(f"{health}/status", timeout=30).json())


def up(folder: Path, *options: str) -> None:
    """Starts one, at ports that no other test's would choose at the same moment: as if it had had them before."""
    ports = {f"{name}_PORT": free_port() for name in ("ZOOKEEPER", "SERVER", "RECEIVER")}
    (folder / "kylin").mkdir(parents=True, mode=0o700)
    (folder / "kylin" / "ports.json").write_text(json.dumps(ports))
    done = gradcube(folder, "kylin", "up", *options)
    assert done.returncode == 0, done.stdout + done.stderr


def restart_receiver(folder: Path) -> None:
    """In order, so that it writes down how far it has read; the supervisor starts it again."""
    before = nodes(folder)["receiver-0"]
    os.kill(before["pid"], signal.SIGTERM)
    wait_until(lambda: nodes(folder)["receiver-0"]["restarts"] > before["restarts"], 60, "its end is seen", 0.5)
    wait_until(lambda: nodes(folder)["receiver-0"]["ready"], 120, "it is back", 0.5)


def segment_states(kylin: KylinRest) -> set[str]:
    """Of the segments of facts that its receivers have."""
    told = kylin.get("streaming_v2/cubes/facts_v1/stats")["receiver_cube_real_time_states"]
    stats = [one["receiver_cube_stats"] for group in told.values() for one in group.values()]
    return {segment["segment_state"] for one in stats for segment in one["segment_stats"].values()}


def drop_all(engine: KylinDeployment) -> None:
    """What other tests left in the Kylin that they share."""
    for cube in {one.cube for one in engine.deployed()}:
        carry_out(engine, plan_drop(cube, engine.deployed()).steps, lambda _: None)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state of a Kylin that runs: one for each process of tests."""
    folder = tmp_path_factory.mktemp("kylin-home")
    try:
        up(folder)
        yield folder
    finally:
        gradcube(folder, "kylin", "down")
