"""One Kylin for all tests of this folder, started by the command. The first run ever fetches 148 MB."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def gradcube(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command with its state in `folder`."""
    return subprocess.run(
        [sys.executable, "-c", "from gradcube.cli.main import main; main()", *arguments],
        env=os.environ | {"GRADCUBE_HOME": str(folder)}, capture_output=True, text=True, timeout=420, check=False,
    )  # fmt: skip


def nodes(folder: Path) -> dict[str, dict[str, Any]]:
    """What `gradcube kylin status` tells, by name."""
    return {node["name"]: node for node in json.loads(gradcube(folder, "kylin", "status", "--json").stdout)}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state of a Kylin that runs."""
    folder = tmp_path_factory.mktemp("kylin-home")
    done = gradcube(folder, "kylin", "up")
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        yield folder
    finally:
        gradcube(folder, "kylin", "down")
