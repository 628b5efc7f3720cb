"""`gradcube diagnose` as typed: JSON lines, a table for people, one sentence for what is no trace."""

import json
import sys
import types
from pathlib import Path

import pytest
from rich.console import Console
from tests.unit.traces.making import text, timed_trace
from typer.testing import CliRunner

from gradcube.cli import main, output
from gradcube.diagnosis import from_record
from gradcube.traces import findings_of, read_trace


def run(*arguments: object) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of the whole command, errors mapped as in `main`."""
    result = CliRunner().invoke(main.app, ["diagnose", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return timed_trace(tmp_path_factory.mktemp("traces") / "bert.parquet")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(Console):
        is_terminal = True

    monkeypatch.setattr(output, "out", Terminal(highlight=False, width=160))


def test_findings_are_json_lines_in_the_order_of_the_run(trace: Path) -> None:
    code, stdout, _ = run(trace)
    found = [from_record(json.loads(line)) for line in stdout.splitlines()]
    assert code == 0
    assert found == list(findings_of(read_trace(trace)))
    assert [(f.job, f.state, f.subject.rank) for f in found] == [("bert", "OPENED", 1), ("bert", "CLOSED", 1)]


def test_a_terminal_gets_a_table_and_the_sentences(trace: Path, terminal: None) -> None:
    code, stdout, _ = run(trace)
    assert code == 0
    assert "110 steps of 4 ranks" in stdout
    assert "straggler" in stdout
    assert "- rank 1 is back to normal" in " ".join(stdout.split())
    assert "{" not in stdout


def test_json_is_given_on_a_terminal_when_asked_for(trace: Path, terminal: None) -> None:
    assert [json.loads(line)["rank"] for line in run(trace, "--json")[1].splitlines()] == [1, 1]


def test_nothing_found_is_exit_code_0(tmp_path: Path, terminal: None) -> None:
    code, stdout, _ = run(timed_trace(tmp_path / "short.csv", steps=20))
    assert code == 0
    assert "nothing found" in stdout


def test_job_and_thresholds_are_heard(trace: Path) -> None:
    assert json.loads(run(trace, "--job", "gpt")[1].splitlines()[0])["job"] == "gpt"
    assert run(trace, "--threshold", "straggler.enabled=false", "--threshold", "straggler.min_ratio=1.1")[1] == ""


def test_unknown_metrics_are_told_on_stderr(tmp_path: Path) -> None:
    path = text(tmp_path / "t.csv", "step,metric,value", "0,loss,1", "0,gc_seconds,1")
    code, stdout, stderr = run(path)
    assert (code, stdout) == (0, "")
    assert "gc_seconds" in stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name a recorded run"),
        (["FILE", "--threshold", "straggler.speed=1"], "straggler.speed"),
        (["FILE", "--threshold", "nonsense"], "nonsense"),
        (["FILE", "FILE", "--job", "x"], "belongs to one FILE"),
    ],
)
def test_wrong_options_are_exit_code_2_with_a_sentence(trace: Path, arguments: list[str], words: str) -> None:
    code, stdout, stderr = run(*[trace if each == "FILE" else each for each in arguments])
    assert (code, stdout) == (2, "")
    assert words in stderr


def test_a_bad_file_ends_the_command_with_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = text(tmp_path / "t.csv", "step,rank,metric,value", "0,0,loss,[/red]")
    monkeypatch.setattr(sys, "argv", ["gradcube", "diagnose", str(path)])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(output, "err", Console(stderr=True, width=1000))
    with pytest.raises(SystemExit) as ended:
        main.main()
    stdout, stderr = capsys.readouterr()
    assert (ended.value.code, stdout) == (2, "")
    assert stderr.splitlines() == [f"TraceError: {path}: row 1: value is '[/red]', not a number"]


def test_report_and_dumps_are_handed_over(trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[Path, int, int]] = []
    found = list(findings_of(read_trace(trace)))
    report, recorder = types.ModuleType("gradcube.report"), types.ModuleType("gradcube.flight_recorder")
    report.write_report = lambda path, t, f: written.append((path, len(t.rows), len(f)))  # type: ignore[attr-defined]
    recorder.diagnose_dumps = lambda directory: found[:1] if directory == tmp_path else []  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gradcube.report", report)
    monkeypatch.setitem(sys.modules, "gradcube.flight_recorder", recorder)
    page = tmp_path / "page.html"
    assert run(trace, "--report", page)[0] == 0
    assert written == [(page, 440, 2)]
    code, stdout, _ = run("--flight-recorder", tmp_path)
    assert (code, len(stdout.splitlines())) == (0, 1)
