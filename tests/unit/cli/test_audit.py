import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from gradcube.cli import output
from gradcube.cli.main import app
from gradcube.errors import CheckFailed
from gradcube.security.audit import AuditLog
from gradcube.security.audit_entry import Entry

ENTRY = Entry("ann", "10.0.0.1", "query", "ok", "select \x1b[31m[red]1[/red]", rows=7, seconds=0.25)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "audit.jsonl"
    monkeypatch.setenv("GRADCUBE_CUBE_AUDIT_FILE", str(path))
    monkeypatch.setenv("GRADCUBE_CUBE_AUDIT_KEY_FILE", str(tmp_path / "key"))
    with AuditLog.open(path, tmp_path / "key") as audit:
        for _ in range(3):
            audit.record(ENTRY)
    return path


def test_a_whole_chain_is_told_with_its_head(path: Path) -> None:
    answer = CliRunner().invoke(app, ["audit", "verify"])
    assert answer.exit_code == 0, answer.output
    assert "5 entries in 1 files follow each other; 1 signed heads" in answer.output
    noted = json.loads(path.read_text().splitlines()[-1])["hash"]
    assert noted in answer.output
    assert CliRunner().invoke(app, ["audit", "verify", str(path), "--noted", noted, "--json"]).exit_code == 0


def test_the_first_bad_entry_is_named_and_the_exit_code_is_that_of_a_failed_check(path: Path) -> None:
    path.write_text(path.read_text().replace('"rows":7', '"rows":8', 2))
    answer = CliRunner().invoke(app, ["audit", "verify"])
    assert isinstance(answer.exception, CheckFailed)
    assert answer.exception.exit_code == 1
    assert f"{path}:2: entry 1 does not have the hash" in str(answer.exception)


def test_without_the_key_the_signatures_are_said_to_be_unchecked(path: Path) -> None:
    (path.parent / "key").unlink()
    assert "signatures not checked" in CliRunner().invoke(app, ["audit", "verify"]).output


def test_the_newest_entries_are_shown_and_text_in_them_is_only_text(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = Console(record=True, width=200, file=io.StringIO())
    with monkeypatch.context() as patch:
        patch.setattr(output, "out", wide)
        answer = CliRunner().invoke(app, ["audit", "tail", "-n", "2"])
    assert answer.exit_code == 0, answer.output
    shown = wide.export_text()
    assert "[31m[red]1[/red]" in shown
    assert "\x1b[31m" not in shown
    entries = json.loads(CliRunner().invoke(app, ["audit", "tail", "--json"]).output)
    assert [entry["kind"] for entry in entries] == ["start", "action", "action", "action", "head"]


def test_a_file_that_is_not_there_is_exit_code_2(tmp_path: Path) -> None:
    for what in ("verify", "tail"):
        assert CliRunner().invoke(app, ["audit", what, str(tmp_path / "none")]).exit_code == 2
