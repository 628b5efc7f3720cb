"""docs/questions.md as data: its questions in, and its text with other answers out."""

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[3] / "docs" / "questions.md"
BENCHMARK = " (benchmark)"
_QUESTION = re.compile(
    r"^## (?P<number>\d+)\. (?P<title>.+?)\n(?P<words>.*?)^```sql\n(?P<sql>.*?)^```\n"
    r"(?P<answer>(?:\n(?:\|[^\n]*\n)+)?)",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Question:
    """`answer` are the cells of the page's table, its head first; empty while there is none."""

    number: int
    title: str
    is_benchmark: bool
    sql: str
    answer: list[list[str]]


def questions(text: str | None = None) -> list[Question]:
    """Those of the page, in its order."""
    return [
        Question(
            int(found["number"]), found["title"].removesuffix(BENCHMARK), found["title"].endswith(BENCHMARK),
            found["sql"].strip(), _cells(found["answer"]),
        )
        for found in _QUESTION.finditer(PAGE.read_text() if text is None else text)
    ]  # fmt: skip


def answered(text: str, answers: Mapping[int, Sequence[Sequence[str]]]) -> str:
    """The page with other answers, by number."""

    def anew(found: re.Match[str]) -> str:
        before = found[0].removesuffix(found["answer"])
        return f"{before}\n{_table(answers[int(found['number'])])}"

    return _QUESTION.sub(anew, text)


def shown(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[list[str]]:
    """An answer as the page shows it, the columns' names first: numbers with four digits, times in UTC."""
    return [list(columns), *([_cell(value) for value in row] for row in rows)]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ", "seconds")
    return str(value)


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = ["| " + " | ".join(row) + " |\n" for row in rows]
    return head + "|" + "---|" * len(rows[0]) + "\n" + "".join(body)


def _cells(table: str) -> list[list[str]]:
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n") if line]
    return lines[:1] + lines[2:]
