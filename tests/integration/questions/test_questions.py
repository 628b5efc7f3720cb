"""Every question of docs/questions.md has the answer that the page shows, from a real gateway, by two clients."""

import datetime
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cube.gateway_process import GatewayProcess
from tests.integration.questions.page import PAGE, Question, answered, questions, shown
from tests.integration.questions.stand import answering, ask, open_connection

from gradcube.bus.local_broker import LocalBroker
from gradcube.clients.connection import Connection
from gradcube.cube.declarations.view_checks import check_views
from gradcube.cube.model import Catalog, DeclaredView, load_catalog
from gradcube.cube.translate import translate
from gradcube.settings import KafkaSettings

QUESTIONS = questions()
COMMAND = [sys.executable, "-c", "from gradcube.cli.main import main; main()", "sql"]
each_question = pytest.mark.parametrize("question", QUESTIONS, ids=[str(one.number) for one in QUESTIONS])


@pytest.fixture(scope="module")
def gateway(broker: LocalBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with answering(tmp_path_factory.mktemp("fleet"), KafkaSettings(bootstrap=broker.bootstrap)) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def connection(gateway: GatewayProcess) -> Iterator[Connection]:
    with open_connection(gateway) as connection:
        yield connection


def test_page_has_twenty_five_questions_of_which_ten_are_the_benchmark() -> None:
    assert [one.number for one in QUESTIONS] == list(range(1, 26))
    assert sum(one.is_benchmark for one in QUESTIONS) == 10


def test_same_answers_written_anew_leave_the_page_as_it_is() -> None:
    text = PAGE.read_text()
    assert answered(text, {one.number: one.answer for one in QUESTIONS}) == text


@each_question
def test_answer_is_what_the_page_shows(connection: Connection, question: Question) -> None:
    assert_same(ask(connection, question), question.answer)


def test_file_of_all_questions_is_answered_alike(gateway: GatewayProcess, tmp_path: Path) -> None:
    file = tmp_path / "questions.sql"
    file.write_text(";\n".join(one.sql for one in QUESTIONS) + ";\n")
    url = f"http://ADMIN@127.0.0.1:{gateway.port}/gradcube"
    options = ["--url", url, "--password-file", str(gateway.directory / "password"), "--json", "-f", str(file)]
    done = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    for question, found in zip(QUESTIONS, documents(done.stdout), strict=True):
        assert_same(shown(list(found[0]), [list(map(timed, row.values())) for row in found]), question.answer)


@each_question
def test_any_engine_can_answer(question: Question) -> None:
    """By the check that declared views are held to."""
    shipped = load_catalog()
    own = {"QUESTION": DeclaredView("QUESTION", "", question.sql)}
    check_views(Catalog(shipped.cubes, {**shipped.views, **own}), Path())


@pytest.mark.parametrize("question", [one for one in QUESTIONS if one.is_benchmark], ids=lambda one: str(one.number))
def test_benchmark_reads_raw_facts_only_where_the_minute_matters(question: Question) -> None:
    relations = translate(question.sql, load_catalog(), limit=10).relations
    assert ("FACTS" in relations) == ("MINUTE_START" in question.sql)


def assert_same(found: list[list[str]], shown: list[list[str]]) -> None:
    """Numbers may differ in the fourth digit, since a machine may add them up in another order."""
    assert [len(row) for row in found] == [len(row) for row in shown]
    for own, wanted in zip(found, shown, strict=True):
        assert list(map(number, own)) == list(map(nearly, wanted))


def timed(value: Any) -> Any:
    """JSON has no times."""
    is_time = isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d \d\d:", value)
    return datetime.datetime.fromisoformat(value) if is_time else value


def nearly(cell: str) -> Any:
    value = number(cell)
    return pytest.approx(value, rel=2e-3) if isinstance(value, float) else value


def number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


def documents(text: str) -> Iterator[Any]:
    """JSON documents that follow one another."""
    decoder = json.JSONDecoder()
    while text := text.lstrip():
        found, end = decoder.raw_decode(text)
        yield found
        text = text[end:]
