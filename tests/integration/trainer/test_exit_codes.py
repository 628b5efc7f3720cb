import os
import subprocess
import sys
from pathlib import Path

import pytest


def run_trainer(**variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {f"GRADCUBE_TRAINER_{name.upper()}": value for name, value in variables.items()}
    return subprocess.run(
        [sys.executable, "-m", "gradcube_trainer"],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_wrong_settings_exit_with_78_and_the_variables_name() -> None:
    ended = run_trainer(steps="none")
    assert ended.returncode == 78
    assert "GRADCUBE_TRAINER_STEPS" in ended.stderr


@pytest.mark.parametrize("content", [b"", b"\0\1\2\3"])
def test_text_that_is_empty_or_binary_exits_with_65_and_the_folder(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_bytes(content)
    ended = run_trainer(data_dir=str(tmp_path / "data"), cache_dir=str(tmp_path / "cache"))
    assert ended.returncode == 65
    assert str(tmp_path / "data") in ended.stderr
    assert "Traceback" not in ended.stderr


def test_no_coordinator_exits_with_69_and_its_address(tmp_path: Path) -> None:
    ended = run_trainer(
        coordinator_url="http://127.0.0.1:9",
        sync_timeout_seconds="0.5",
        cache_dir=str(tmp_path),
        data_limit_bytes="60000",
        hidden_size="32",
    )
    assert ended.returncode == 69
    assert "http://127.0.0.1:9" in ended.stderr
