"""An answer as a table, CSV, JSON, Parquet or a chart, on the terminal or into a file."""

import csv
import io
import json
import math
import os
import pydoc
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.measure import Measurement

from gradcube.cli import output
from gradcube.cli.sql_chart import chart
from gradcube.clients.result import Result
from gradcube.errors import ConfigError

FORMATS = ("table", "csv", "json", "parquet", "chart")


@dataclass
class Target:
    """Where answers go and in which format. A file is emptied when it is opened, and then grows by each answer.

    A Parquet file holds the last answer alone. `paged` is for a person: long tables go through a pager.
    """

    kind: str = "table"
    file: Path | None = None
    paged: bool = False

    @classmethod
    def opened(cls, kind: str, file: Path | None) -> "Target":
        """A target to begin with. Raises ConfigError when the file cannot be written or the format needs one."""
        if kind == "parquet" and file is None:
            raise ConfigError("Parquet is no text: name a file with --output FILE")
        target = cls(kind)
        target.redirect(file)
        return target

    def redirect(self, file: Path | None) -> None:
        """Answers go to this file from now on; None: to the terminal. Raises ConfigError."""
        if file is not None:
            try:
                file.write_bytes(b"")
            except OSError as error:
                raise ConfigError(f"{file} cannot be written: {error}") from error
        self.file = file


def write(result: Result, target: Target) -> None:
    """Writes one answer. Raises ConfigError when the file cannot be written, or Parquet has no file to go to."""
    if target.kind == "parquet":
        _write_parquet(result, target.file)
    elif target.file is not None:
        width = 200 if target.kind == "chart" else 10_000
        _append(target.file, _text(result, target.kind, Console(width=width, file=io.StringIO(), color_system=None)))
    elif target.kind in ("csv", "json"):
        output.out.file.write(_text(result, target.kind, output.out))
    else:
        _show(result, target)
    if target.file is not None:
        output.err.print(f"{len(result)} rows into {target.file}", style="dim")
    if result.partial:
        output.err.print("[yellow]there are more rows: the limit cut the answer[/yellow]")


def _write_parquet(result: Result, file: Path | None) -> None:
    if file is None:
        raise ConfigError("Parquet is no text: name a file first (\\o FILE in the shell, --output FILE outside)")
    import pyarrow.parquet as pq  # takes longer to load than most questions take to answer

    try:
        pq.write_table(result.arrow(), file)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error}") from error


def _append(file: Path, text: str) -> None:
    try:
        with file.open("a", encoding="utf-8") as out:
            out.write(text)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error}") from error


def _text(result: Result, kind: str, console: Console) -> str:
    if kind == "json":
        rows = [dict(zip(result.columns, map(_plain, row), strict=True)) for row in result.rows]
        return json.dumps(rows, indent=2, default=str, ensure_ascii=False) + "\n"
    if kind == "csv":
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(result.columns)
        writer.writerows(result.rows)
        return text.getvalue()
    with console.capture() as captured:
        console.print(_drawing(result, kind, console.width), crop=False)
    return captured.get()


def _drawing(result: Result, kind: str, width: int) -> Any:
    return chart(result, width) if kind == "chart" else output.table(result.columns, result.rows)


def _show(result: Result, target: Target) -> None:
    """On the terminal. A person reads what is longer or wider than the window in a pager, at its full width."""
    console, drawing = output.out, _drawing(result, target.kind, output.out.width)
    if target.paged and target.kind == "table":
        wide = Measurement.get(console, console.options.update(max_width=10_000), drawing).maximum
        if wide > console.width or len(result) + 4 > console.height:
            _page(drawing, max(wide, console.width))
            return
    console.print(drawing)
    if target.kind == "table":
        console.print(f"{len(result)} rows", style="dim")


def _page(drawing: Any, width: int) -> None:
    console = Console(width=width, file=io.StringIO(), force_terminal=True, highlight=False)
    console.print(drawing)
    assert isinstance(console.file, io.StringIO)
    # S: wide lines are scrolled, not folded; R: colours; F: no pager for one page; X: the table stays on the screen.
    os.environ.setdefault("LESS", "-SRFX")
    pydoc.pager(console.file.getvalue())


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinities."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
