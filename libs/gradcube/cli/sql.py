"""`gradcube sql`: one statement, a file or a pipe of them, or a shell for a person at a terminal."""

import sys
from pathlib import Path

import typer
from rich.markup import escape

from gradcube.cli import output, state
from gradcube.cli.sql_output import FORMATS, Target, write
from gradcube.clients.address import resolve
from gradcube.clients.connection import Connection
from gradcube.clients.http import ServerUnavailable
from gradcube.clients.scanner import is_blank, split
from gradcube.errors import ConfigError, QueryError


def sql(
    statement: str | None = typer.Argument(None, help="one SELECT; without it, a shell"),
    file: Path | None = typer.Option(None, "--file", "-f", help="statements, each ended by ;"),
    json: bool = typer.Option(False, "--json", help="rows as JSON objects"),
    as_csv: bool = typer.Option(False, "--csv", help="rows as CSV with a header"),
    kind: str = typer.Option("table", "--format", help=", ".join(FORMATS)),
    target: Path | None = typer.Option(None, "--output", "-o", help="write to this file"),
    url: str | None = typer.Option(None, help="http(s)://USER@HOST:PORT/PROJECT; default: the local services"),
    password_file: Path | None = typer.Option(None, help="of mode 600, for --url"),
    limit: int = typer.Option(50_000, min=1, help="most rows of one answer"),
) -> None:
    """Ask the cube in SQL. The table of training facts is FACTS."""
    kind = "json" if json else "csv" if as_csv else kind
    if kind not in FORMATS:
        raise typer.BadParameter(f"{kind!r} is none of {', '.join(FORMATS)}", param_hint="--format")
    if statement is not None and file is not None:
        raise typer.BadParameter("give a statement or a file of them, not both", param_hint="--file")
    where = Target.opened(kind, target)
    with _connection(url, password_file) as connection:
        if statement is not None:
            write(connection.query(statement, limit=limit), where)
        elif file is None and sys.stdin.isatty():
            from gradcube.cli.sql_shell import Shell  # prompt_toolkit takes its time to load

            Shell(connection, where, limit).run()
        else:
            _run_all(connection, _read(file), where, limit)


def _connection(url: str | None, password_file: Path | None) -> Connection:
    if url is not None:
        return Connection(resolve(url, password_file=password_file))
    local = state.require()
    where = f"http://{state.USER}@{local.gateway}/{state.PROJECT}"
    return Connection(resolve(where, password_file=password_file or local.password_file))


def _read(file: Path | None) -> str:
    if file is None:
        return sys.stdin.read()
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read as a file of statements: {error}") from error


def _run_all(connection: Connection, text: str, where: Target, limit: int) -> None:
    """All statements in turn; the exit code is 1 when one of them failed. One that nobody hears ends it."""
    statements, rest = split(text)
    failed = 0
    for statement in [*statements, *([] if is_blank(rest) else [rest.strip()])]:
        try:
            write(connection.query(statement, limit=limit), where)
        except ServerUnavailable:
            raise
        except QueryError as error:
            failed += 1
            output.err.print(f"[red]{escape(str(error))}[/red]\n{escape(statement)}", soft_wrap=True)
    if failed:
        raise typer.Exit(1)
