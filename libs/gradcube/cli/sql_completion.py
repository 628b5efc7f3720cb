"""Completion in the shell: keywords, tables, columns of the tables that the statement names, and values of a column."""

import re
from collections.abc import Callable, Iterator, Sequence

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from gradcube.clients.connection import Table
from gradcube.clients.scanner import pieces

KEYWORDS = (
    "SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "HAVING", "LIMIT", "OFFSET", "AND", "OR", "NOT", "IN", "LIKE",
    "BETWEEN", "IS NULL", "IS NOT NULL", "AS", "JOIN", "LEFT JOIN", "ON", "UNION ALL", "WITH", "CASE", "WHEN", "THEN",
    "ELSE", "END", "DISTINCT", "DESC", "ASC", "OVER", "PARTITION BY", "COUNT(*)", "COUNT(DISTINCT ", "SUM(", "AVG(",
    "MIN(", "MAX(", "PERCENTILE_APPROX(", "CAST(", "FLOOR(", "TIMESTAMPADD(", "TIMESTAMPDIFF(", "EXTRACT(", "COALESCE(",
    "CURRENT_TIMESTAMP", "TIMESTAMP '", "DATE '",
)  # fmt: skip
# COLUMN = '..., COLUMN in ('a', '..., COLUMN like '...: what stands before the quote that is open at the cursor.
_OF_COLUMN = re.compile(
    r"(\w+)\s*(?:=|<>|!=|<=?|>=?|(?:not\s+)?like|(?:not\s+)?in\s*\((?:\s*'(?:[^']|'')*'\s*,)*)\s*$", re.IGNORECASE
)
_WORD = re.compile(r"[\w$]*$")

Values = Callable[[Table, str], Sequence[str]]


class SqlCompleter(Completer):
    """`values(table, column)` gives a column's values; it is called when a person asks for them with Tab, and once."""

    def __init__(self, tables: Callable[[], Sequence[Table]], values: Values) -> None:
        self._tables, self._ask = tables, values
        self._known: dict[tuple[str, str], Sequence[str]] = {}

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """What may stand at the cursor."""
        before = document.text_before_cursor
        last = next(reversed(list(pieces(before))), None)
        if last is not None and last.holds(len(before)):
            if last.kind == "string":
                yield from self._values(before[: last.start], last.text[1:], document.text, complete_event)
            return
        match = _WORD.search(before)
        word = match[0] if match else ""
        for name, what in self._names(document.text):
            if word and name.upper().startswith(word.upper()):
                yield Completion(name, -len(word), display_meta=what)

    def _names(self, text: str) -> Iterator[tuple[str, str]]:
        named = self._named(text)
        for table in named or self._tables():
            for column in table.columns:
                yield column.name, column.type
        for table in self._tables():
            yield table.name, table.kind.lower()
        for keyword in KEYWORDS:
            yield keyword, ""

    def _named(self, text: str) -> list[Table]:
        words = set(re.findall(r"\w+", text.upper()))
        return [table for table in self._tables() if table.name.upper() in words]

    def _values(self, before: str, begun: str, text: str, event: CompleteEvent) -> Iterator[Completion]:
        match = _OF_COLUMN.search(before)
        if match is None:
            return
        for table in self._named(text):
            for value in self._of(table, match[1].upper(), event.completion_requested):
                quoted = value.replace("'", "''")
                if quoted.lower().startswith(begun.lower()):
                    yield Completion(quoted + "'", -len(begun), display=value)

    def _of(self, table: Table, column: str, asked: bool) -> Sequence[str]:
        place = (table.name, column)
        if place not in self._known and asked and any(one.name == column for one in table.columns):
            self._known[place] = self._ask(table, column)
        return self._known.get(place, ())
