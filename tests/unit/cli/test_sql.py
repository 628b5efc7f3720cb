"""`gradcube sql` without a terminal: formats, files of statements, exit codes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer
from click.testing import Result as Run
from tests.unit.clients.tiny_gateway import TinyGateway, kylin, refusal, tables
from typer.testing import CliRunner

from gradcube.cli.sql import sql
from gradcube.errors import ConfigError, QueryError

Sql = Callable[..., Run]


@pytest.fixture
def tiny() -> Iterator[TinyGateway]:
    gateway = TinyGateway()
    gateway.answers["/kylin/api/tables_and_columns"] = lambda _: tables()
    gateway.answers["/kylin/api/query"] = lambda body: (
        refusal(500, "Object 'X' not found.", position=15)
        if "from X" in body["sql"]
        else kylin({"JOB": "VARCHAR", "LOSS": "DOUBLE"}, [["bert", "3.5"], ["größer", "NaN"], [None, None]])
    )
    yield gateway
    gateway.close()


@pytest.fixture
def run(tiny: TinyGateway) -> Sql:
    app = typer.Typer()
    app.command()(sql)
    return lambda *arguments, stdin="": CliRunner().invoke(app, ["--url", tiny.url, *arguments], input=stdin)


def test_one_statement_as_json_csv_and_table(run: Sql) -> None:
    rows = [{"JOB": "bert", "LOSS": 3.5}, {"JOB": "größer", "LOSS": None}, {"JOB": None, "LOSS": None}]
    assert json.loads(run("select 1", "--json").stdout) == rows
    assert run("select 1", "--csv").stdout == "JOB,LOSS\nbert,3.5\ngrößer,nan\n,\n"
    assert run("select 1", "--format", "csv").stdout == run("select 1", "--csv").stdout


def test_refused_statement_has_the_error_of_before(run: Sql) -> None:
    ended = run("select * from X")
    assert isinstance(ended.exception, QueryError)
    assert ended.exception.exit_code == 65


def test_file_of_statements_is_run_to_its_end_and_a_failure_is_exit_code_1(
    run: Sql, tiny: TinyGateway, tmp_path: Path
) -> None:
    questions = tmp_path / "questions.sql"
    questions.write_text("-- the first;\nselect 1\n;\nselect * from X; select ';' ;\nselect 3 -- no end\n;;")
    ended = run("-f", str(questions), "--json")
    asked = [body["sql"] for path, body in tiny.asked if path == "/kylin/api/query"]
    assert asked == ["-- the first;\nselect 1", "select * from X", "select ';'", "select 3 -- no end"]
    assert ended.exit_code == 1
    assert ended.stdout.count('"JOB": "bert"') == 3
    assert "Object 'X' not found" in ended.stderr
    questions.write_text("select 1")
    assert run("-f", str(questions)).exit_code == 0


def test_server_that_is_gone_ends_a_file_of_statements_at_once(run: Sql, tiny: TinyGateway, tmp_path: Path) -> None:
    questions = tmp_path / "questions.sql"
    questions.write_text("select 1; select 2;")
    tiny.answers["/kylin/api/query"] = lambda _: refusal(503, "Too many statements wait.")
    ended = run("-f", str(questions))
    assert ended.exception.exit_code == 69  # type: ignore[union-attr]
    assert sum(path == "/kylin/api/query" for path, _ in tiny.asked) == 1
    tiny.answers["/kylin/api/query"] = lambda _: refusal(401, "Who are you?")
    assert run("select 1").exception.exit_code == 77  # type: ignore[union-attr]


def test_pipe_of_statements_over_several_lines(run: Sql, tiny: TinyGateway) -> None:
    assert run("--csv", stdin="select 1,\n2;\nselect 3").exit_code == 0
    assert [body["sql"] for path, body in tiny.asked if path == "/kylin/api/query"] == ["select 1,\n2", "select 3"]


def test_output_goes_into_files(run: Sql, tmp_path: Path) -> None:
    parquet, text = tmp_path / "rows.parquet", tmp_path / "rows.csv"
    assert run("select 1", "--format", "parquet", "-o", str(parquet)).exit_code == 0
    assert pq.read_table(parquet).column("JOB").to_pylist() == ["bert", "größer", None]
    run("--csv", "-o", str(text), stdin="select 1; select 2")
    assert text.read_text().count("bert,3.5") == 2
    chart = tmp_path / "chart.txt"
    assert run("select 1", "--format", "chart", "-o", str(chart)).exit_code == 0
    assert "█" in chart.read_text()


@pytest.mark.parametrize(
    "arguments", [("--format", "xml", "select 1"), ("select 1", "-f", "questions.sql"), ("select 1", "--limit", "0")]
)
def test_wrong_options_are_exit_code_2(run: Sql, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize(
    "arguments", [("--format", "parquet", "select 1"), ("-f", "/absent.sql"), ("select 1", "-o", "/absent/rows.csv")]
)
def test_files_that_cannot_be_are_said(run: Sql, arguments: tuple[str, ...]) -> None:
    assert isinstance(run(*arguments).exception, ConfigError)
