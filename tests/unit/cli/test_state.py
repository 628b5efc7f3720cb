"""The state file: what was written is read again, and a broken one is refused with the way out."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from gradcube.cli import state
from gradcube.cli.processes import LocalProcess
from gradcube.cli.state import LocalState
from gradcube.errors import ConfigError


def some_state(home: Path) -> LocalState:
    me = LocalProcess.of("cube", os.getpid(), address="127.0.0.1:7070", health="", log=home / "cube.log")
    return LocalState(
        str(home), "127.0.0.1:9092", "127.0.0.1:7070", "http://c", "http://m", str(home / "password"), [me]
    )


def test_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    state.write(some_state(tmp_path))
    assert state.read(tmp_path) == some_state(tmp_path)


def test_absent_state_is_none(tmp_path: Path) -> None:
    assert state.read(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"processes": [{"pid": 1}]}', '{"processes": [], "x": 1}'])
def test_broken_state_file_is_refused_with_its_path(tmp_path: Path, text: str) -> None:
    state.path_of(tmp_path).write_text(text)
    with pytest.raises(ConfigError, match=r"state\.json is not a state file of gradcube"):
        state.read(tmp_path)


def test_ended_services_are_as_good_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADCUBE_HOME", str(tmp_path))
    written = some_state(tmp_path)
    state.write(written)
    assert state.require() == written
    state.write(replace(written, processes=[replace(written.processes[0], started_at=0)]))
    with pytest.raises(ConfigError, match="gradcube up"):
        state.require()
