"""The shell of `gradcube sql`: statements over several lines until `;`, history, completion, backslash commands."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import ThreadedCompleter
from prompt_toolkit.filters import has_completions
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer
from rich.markup import escape

from gradcube.cli import output
from gradcube.cli.paths import home
from gradcube.cli.sql_commands import Commands, Leave
from gradcube.cli.sql_completion import SqlCompleter
from gradcube.cli.sql_output import Target, write
from gradcube.clients.connection import Connection, Table
from gradcube.clients.scanner import is_blank, split
from gradcube.errors import ConfigError, QueryError

PROMPT, CONTINUED = "gradcube> ", "......... "
MOST_VALUES = 200


class Shell:
    """`Shell(connection, Target(), limit).run()` until \\q or Ctrl-D. `session` is another one in tests."""

    def __init__(
        self, connection: Connection, target: Target, limit: int, session: "PromptSession[str] | None" = None
    ) -> None:
        target.paged = output.out.is_terminal
        self._connection, self._target, self._limit = connection, target, limit
        self._commands = Commands(connection, target)
        self._tables: Sequence[Table] = ()
        self._session = session or PromptSession(history=FileHistory(str(history_file())))

    def run(self) -> None:
        """Reads and answers. SIGTERM ends it, though Ctrl-C does not."""
        before = signal.signal(signal.SIGTERM, _leave_on_term)
        try:
            self._look_around()
            while True:
                try:
                    self._answer_all(self._read())
                except KeyboardInterrupt:
                    continue
        except (EOFError, Leave):
            pass
        finally:
            signal.signal(signal.SIGTERM, before)

    def _read(self) -> str:
        return self._session.prompt(
            PROMPT, multiline=True, prompt_continuation=CONTINUED, lexer=PygmentsLexer(SqlLexer),
            completer=ThreadedCompleter(SqlCompleter(lambda: self._tables, self.values)), key_bindings=_bindings(),
        )  # fmt: skip

    def _answer_all(self, text: str) -> None:
        try:
            if text.lstrip().startswith("\\"):
                self._commands.run(text)
                return
            for statement in split(text)[0]:
                self._answer(statement)
        except (QueryError, ConfigError) as error:
            output.err.print(f"[red]{escape(str(error))}[/red]", soft_wrap=True)

    def _answer(self, statement: str) -> None:
        try:
            result = self._connection.query(statement, limit=self._limit)
        except QueryError as error:
            if error.position is not None:
                output.err.print(escape(pointed(statement, error.position)), soft_wrap=True)
            raise
        except KeyboardInterrupt:
            output.err.print("[yellow]ended; the shell goes on[/yellow]")
            return
        write(result, self._target)
        if self._commands.timing:
            output.out.print(f"{result.seconds * 1000:.0f} ms", style="dim")

    def _look_around(self) -> None:
        """Asks once what tables there are; a person hears at once of a server that does not answer."""
        try:
            self._tables = self._connection.tables()
        except QueryError as error:
            output.err.print(f"[red]{escape(str(error))}[/red]", soft_wrap=True)

    def values(self, table: Table, column: str) -> Sequence[str]:
        """The first values of a column, for completion."""
        name = f'"{table.schema}"."{table.name}"'
        try:
            sql = f'select distinct "{column}" from {name} order by 1 limit {MOST_VALUES}'
            return [str(row[0]) for row in self._connection.query(sql, progress=False).rows if row[0] is not None]
        except QueryError:
            return ()


def history_file() -> Path:
    """What was typed, for this user alone: statements name jobs and hosts."""
    path = home() / "sql-history"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    path.chmod(0o600)
    return path


def pointed(statement: str, position: int) -> str:
    """The line of the statement that holds the 1-based position, and below it a mark at that place."""
    begin = statement.rfind("\n", 0, position - 1) + 1
    line = statement[begin:].partition("\n")[0]
    return f"{line}\n{' ' * (position - 1 - begin)}^"


def is_complete(text: str) -> bool:
    """Whether Enter sends it: a command, nothing at all, or statements of which the last is ended."""
    statements, rest = split(text)
    return text.lstrip().startswith("\\") or is_blank(text) or (bool(statements) and is_blank(rest))


def _bindings() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("enter", filter=~has_completions)
    def _enter(event: KeyPressEvent) -> None:
        if is_complete(event.current_buffer.text):
            event.current_buffer.validate_and_handle()
        else:
            event.current_buffer.insert_text("\n")

    @bindings.add("enter", filter=has_completions)
    def _choose(event: KeyPressEvent) -> None:
        buffer: Any = event.current_buffer
        chosen = buffer.complete_state.current_completion is not None
        buffer.complete_state = None
        if not chosen:
            _enter(event)

    return bindings


def _leave_on_term(_number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + signal.SIGTERM)
