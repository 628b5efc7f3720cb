"""The shell of `gradcube sql`, typed into through prompt_toolkit's pipe."""

import datetime
import io
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from rich.console import Console
from tests.unit.clients.tiny_gateway import TinyGateway, kylin, refusal, tables

import gradcube
from gradcube.cli import output
from gradcube.cli.sql_chart import WIDEST_VALUE, chart
from gradcube.cli.sql_completion import SqlCompleter
from gradcube.cli.sql_output import Target, write
from gradcube.cli.sql_shell import Shell, history_file, is_complete, pointed
from gradcube.clients.connection import Connection
from gradcube.clients.kylin_json import Column, Typed
from gradcube.clients.result import Result
from gradcube.errors import QueryError

ENTER, END = "\r", "\x04"
Type = Callable[[str], str]


@pytest.fixture
def tiny() -> Iterator[TinyGateway]:
    gateway = TinyGateway()
    gateway.answers["/kylin/api/tables_and_columns"] = lambda _: tables()
    gateway.answers["/kylin/api/query"] = _answer
    yield gateway
    gateway.close()


def _answer(body: dict[str, Any]) -> Any:
    if "NOWHERE" in body["sql"]:
        return refusal(500, "Object 'NOWHERE' not found.", position=15)
    return kylin({"JOB": "VARCHAR", "N": "BIGINT"}, [["bert", "3"], ["it's", "1"]])


@pytest.fixture
def connection(tiny: TinyGateway) -> Iterator[Connection]:
    with gradcube.connect(tiny.url) as connection:
        yield connection


@pytest.fixture
def typed(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Type:
    """Types into a shell until it ends; gives what it printed."""

    def type_in(keys: str) -> str:
        console = Console(record=True, width=100, force_terminal=False, highlight=False)
        monkeypatch.setattr(output, "out", console)
        monkeypatch.setattr(output, "err", console)
        with create_pipe_input() as pipe:
            pipe.send_text(keys)
            session: PromptSession[str] = PromptSession(input=pipe, output=DummyOutput())
            Shell(connection, Target(), 100, session).run()
        return console.export_text()

    return type_in


def asked(tiny: TinyGateway) -> list[str]:
    return [body["sql"] for path, body in tiny.asked if path == "/kylin/api/query"]


def test_statement_over_several_lines_is_sent_at_its_end(typed: Type, tiny: TinyGateway) -> None:
    shown = typed(f"select JOB,{ENTER}';' from{ENTER}FACTS;{ENTER}\\q{ENTER}")
    assert asked(tiny) == ["select JOB,\n';' from\nFACTS"]
    assert "bert" in shown
    assert "2 rows" in shown


def test_error_points_at_its_position_and_the_shell_goes_on(typed: Type, tiny: TinyGateway) -> None:
    shown = typed(f"select * from NOWHERE;{ENTER}select 1;{ENTER}{END}")
    lines = shown.splitlines()
    assert lines[0] == "select * from NOWHERE"
    assert lines[1].rstrip() == " " * 14 + "^"
    assert "Object 'NOWHERE' not found." in lines[2]
    assert asked(tiny)[-1] == "select 1"


def test_commands_describe_time_format_and_redirect(typed: Type, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    keys = ["\\d", "\\d facts", "\\timing", "select 1;", "\\format csv", f"\\o {file}", "select 2;", "\\o", "\\nope",
            "\\format xml", "\\d nowhere", "\\format parquet", "select 3;", "\\?", "\\q"]  # fmt: skip
    shown = typed(ENTER.join(keys) + ENTER)
    assert "SLOWEST" in shown
    assert "view" in shown
    assert "METRIC_VALUE" in shown
    assert "timing is on" in shown
    assert " ms" in shown
    assert file.read_text() == "JOB,N\nbert,3\nit's,1\n"
    for words in ("There is no command \\nope", "'xml' is no format", "There is no table nowhere", "name a file first"):
        assert words in shown
    assert "leave" in shown


def test_interrupt_at_the_prompt_drops_the_line_alone(typed: Type, tiny: TinyGateway) -> None:
    typed(f"select 1\x03select 2;{ENTER}{END}")
    assert asked(tiny) == ["select 2"]


def completions(connection: Connection, text: str, *, tab: bool = True, asks: list[str] | None = None) -> list[str]:
    def values(_: Any, column: str) -> list[str]:
        (asks if asks is not None else []).append(column)
        return ["bert", "it's"]

    completer = SqlCompleter(connection.tables, values)
    event = CompleteEvent(completion_requested=tab)
    return [one.text for one in completer.get_completions(Document(text), event)]


def test_completion_knows_keywords_tables_columns_and_values(connection: Connection) -> None:
    assert "SELECT" in completions(connection, "sel")
    assert "FACTS" in completions(connection, "select * from fa")
    assert "METRIC_VALUE" in completions(connection, "select met")
    assert completions(connection, "select * from FACTS where JOB = 'b") == ["bert'"]
    assert completions(connection, "select * from FACTS where JOB in ('bert', 'i") == ["it''s'"]
    assert completions(connection, "select * from FACTS where JOB like '") == ["bert'", "it''s'"]
    assert completions(connection, "select 'x") == []
    assert completions(connection, "select 1 -- sel") == []
    assert completions(connection, "select ") == []


def test_values_are_asked_for_once_and_only_with_tab(connection: Connection) -> None:
    asks: list[str] = []
    assert completions(connection, "select * from FACTS where JOB = 'b", tab=False, asks=asks) == []
    assert asks == []
    completer = SqlCompleter(connection.tables, lambda _, column: asks.append(column) or ["bert"])  # type: ignore[func-returns-value]
    document = Document("select * from FACTS where JOB = '")
    for tab in (True, False, True):
        found = list(completer.get_completions(document, CompleteEvent(completion_requested=tab)))
        assert [one.text for one in found] == ["bert'"]
    assert asks == ["JOB"]


def test_values_of_a_column_are_asked_of_the_server(connection: Connection, tiny: TinyGateway) -> None:
    with create_pipe_input() as pipe:
        session: PromptSession[str] = PromptSession(input=pipe, output=DummyOutput())
        shell = Shell(connection, Target(), 100, session)
        assert shell.values(connection.tables()[0], "JOB") == ["bert", "it's"]
    assert asked(tiny) == ['select distinct "JOB" from "DEFAULT"."FACTS" order by 1 limit 200']


def test_history_is_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADCUBE_HOME", str(tmp_path / "home"))
    assert stat.S_IMODE(history_file().stat().st_mode) == 0o600
    history_file().chmod(0o644)
    assert stat.S_IMODE(history_file().stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("text", "complete"),
    [("select 1;", True), ("select 1; ", True), ("select 1; -- done", True), ("select 1", False), ("select ';", False),
     ("select 1; select 2", False), ("\\d", True), ("", True), ("-- only;", True), ("/* ; ", True)],
)  # fmt: skip
def test_enter_sends_what_is_complete(text: str, complete: bool) -> None:
    assert is_complete(text) is complete


def test_position_is_shown_in_its_line() -> None:
    assert pointed("select a\nfrom X", 15) == "from X\n     ^"
    assert pointed("select", 1) == "select\n^"


def test_long_or_wide_answer_goes_through_a_pager_at_its_full_width(
    tiny: TinyGateway, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    paged: list[str] = []
    monkeypatch.setattr("pydoc.pager", paged.append)
    console = Console(record=True, width=60, height=20, force_terminal=True, file=io.StringIO())
    monkeypatch.setattr(output, "out", console)
    wide = {f"COLUMN_{place}": "VARCHAR" for place in range(9)}
    for columns, rows in ((wide, 1), ({"N": "BIGINT"}, 40), ({"N": "BIGINT"}, 1)):
        tiny.answers["/kylin/api/query"] = lambda _, columns=columns, rows=rows: kylin(
            columns, [["7"] * len(columns)] * rows
        )
        write(connection.query("select 1"), Target(paged=True))
    assert len(paged) == 2
    assert all(f"COLUMN_{place}" in paged[0] for place in range(9))
    assert paged[1].count("7") >= 40


def drawn(labels: list[Any], values: list[Any]) -> str:
    columns = (Column("WHAT", "VARCHAR"), Column("N", "DOUBLE"))
    rows = list(zip(labels, values, strict=True))
    console = Console(width=80, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(chart(Result(Typed(columns, rows, False), partial=False, seconds=0), 80))
        return console.export_text()


def test_chart_draws_bars_in_proportion() -> None:
    bars = [line.count("█") for line in drawn(["a", "b", "c"], [10.0, 5.0, None]).splitlines()[1:4]]
    assert bars == [40, 20, 0]
    assert "and 5 more" in drawn([str(n) for n in range(65)], [1] * 65)


def test_chart_of_times_is_a_curve_from_first_to_last() -> None:
    start = datetime.datetime(2026, 11, 24)
    times = [start + datetime.timedelta(minutes=n) for n in range(500)]
    lines = drawn(times, [float(n) for n in range(500)]).splitlines()
    assert lines[1].strip().startswith("49")
    assert lines[1].rstrip().endswith("█")
    assert lines[10].lstrip().startswith("3")
    assert "2026-11-24 00:00:00  to  2026-11-24 08:19:00" in lines[11]


def test_short_curve_is_drawn_wide_enough_to_be_seen() -> None:
    times = [datetime.datetime(2026, 11, 24, hour) for hour in range(3)]
    assert drawn(times, [3.0, 1.0, 2.0]).splitlines()[1].count("█") == WIDEST_VALUE


def test_chart_without_numbers_is_refused() -> None:
    with pytest.raises(QueryError, match="Nothing to draw"):
        drawn(["a"], ["text"])
    with pytest.raises(QueryError, match="Nothing to draw"):
        drawn([], [])
