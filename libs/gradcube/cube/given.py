"""An answer of another engine in, a relation that the embedded engine can read beside its own out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gradcube.cube.model import Column, CubeModel
from gradcube.cube.questions import Answer

_ROWS = "G"


@dataclass(frozen=True)
class Given:
    """`model` has the columns of the answer as dimensions; `select` gives its rows, in DuckDB's words."""

    model: CubeModel
    select: str


def given(name: str, answer: Answer) -> Given:
    """Each value is written as text and cast to its column's type, which no text can leave."""
    columns = tuple(Column(column.name, "dimension", column.type, "") for column in answer.columns)
    kinds = answer.result.types
    quoted = [_identifier(column.name) for column in columns]
    casts = ", ".join(f"cast({column} as {kind}) as {column}" for column, kind in zip(quoted, kinds, strict=True))
    rows = ", ".join(_rows(answer)) or f"({', '.join('null' for _ in quoted)})"
    condition = "" if answer.result.rows else " where false"
    select = f"select {casts} from (values {rows}) as {_ROWS}({', '.join(quoted)}){condition}"  # noqa: S608 - quoted
    return Given(CubeModel(name, topic="", time="", key="", columns=columns), select)


def _rows(answer: Answer) -> Iterator[str]:
    for batch in answer.result.batches:
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield f"({', '.join(map(_literal, row))})"


def _literal(value: Any) -> str:
    if value is None:
        return "null"
    text = str(value).replace("'", "''")
    return f"'{text}'"


def _identifier(name: str) -> str:
    quoted = name.replace('"', '""')
    return f'"{quoted}"'
