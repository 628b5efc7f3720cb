"""What the command prints: Rich for people on stdout, progress on stderr, plain JSON for programs."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """One JSON document on stdout, without colours or wrapping."""
    out.file.write(json.dumps(value, indent=2, default=str) + "\n")


def write_json(path: Path, value: Any) -> None:
    """The same into a file."""
    path.write_text(json.dumps(value, indent=2, default=str) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> Table:
    """A table whose numbers are right-aligned and short."""
    rows = [list(row) for row in rows]
    result = Table(title=title, title_justify="left", title_style="bold")
    for index, name in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float | None) for row in rows)
        result.add_column(name, justify="right" if numeric else "left")
    for row in rows:
        result.add_row(*(cell(value) for value in row))
    return result


def cell(value: Any) -> str:
    """A value as a person reads it: four significant digits, absent as a dash."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return str(value)
