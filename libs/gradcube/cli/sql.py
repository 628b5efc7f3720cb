"""`gradcube sql`: one statement, or a prompt, answered by the local gateway through stock kylinpy."""

import csv
import sys
from collections.abc import Iterator

import typer

from gradcube.cli import output, state
from gradcube.cube.client import Rows, open_kylin, query
from gradcube.errors import QueryError

PROMPT = "gradcube> "


def sql(
    statement: str | None = typer.Argument(None, help="one SELECT; without it, a prompt"),
    json: bool = typer.Option(False, "--json", help="rows as JSON objects"),
    as_csv: bool = typer.Option(False, "--csv", help="rows as CSV with a header"),
) -> None:
    """Ask the cube in SQL. The table of training facts is FACTS."""
    kylin = open_kylin(state.require().kylin_url())
    if statement is not None:
        _show(query(kylin, statement), json=json, as_csv=as_csv)
        return
    for line in _lines():
        try:
            _show(query(kylin, line), json=json, as_csv=as_csv)
        except QueryError as error:
            output.err.print(f"[red]{error}[/red]")


def _show(result: Rows, *, json: bool, as_csv: bool) -> None:
    if json:
        output.print_json([dict(zip(result.columns, row, strict=True)) for row in result.rows])
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(result.columns)
        writer.writerows(result.rows)
    else:
        output.out.print(output.table(result.columns, result.rows))
        output.out.print(f"{len(result.rows)} rows", style="dim")


def _lines() -> Iterator[str]:
    """Statements from a person (ended by ;) or from a pipe, until the end of the input."""
    if sys.stdin.isatty():
        import readline  # noqa: F401 - gives input() its history and editing
    pending = ""
    while True:
        try:
            pending += " " + input(PROMPT if sys.stdin.isatty() and not pending else "")
        except EOFError:
            break
        if pending.rstrip().endswith(";") or not sys.stdin.isatty():
            yield pending.strip().rstrip(";")
            pending = ""
    if pending.strip():
        yield pending.strip()
