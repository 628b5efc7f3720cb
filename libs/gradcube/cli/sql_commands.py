"""The shell's commands that begin with a backslash: what there is to ask, and how answers are shown."""

from dataclasses import dataclass
from pathlib import Path

from gradcube.cli import output
from gradcube.cli.sql_output import FORMATS, Target
from gradcube.clients.connection import Connection
from gradcube.errors import ConfigError, QueryError

HELP = """\
\\d              the tables and views         \\timing          time of each question, on or off
\\d TABLE        its columns                  \\format FORMAT   {formats}
\\o FILE         answers go to the file       \\o               and to the terminal again
\\q or Ctrl-D    leave                        Ctrl-C           end the question, not the shell
A statement ends with ; and Tab completes names, and values behind COLUMN = '"""


class Leave(Exception):
    """\\q."""


@dataclass
class Commands:
    """Runs a line that begins with a backslash; `timing` is what the shell reads of it."""

    connection: Connection
    target: Target
    timing: bool = False

    def run(self, line: str) -> None:
        """Raises Leave for \\q, QueryError for a command that there is not, ConfigError for a file."""
        name, _, argument = line.strip().rstrip(";").partition(" ")
        known = {
            "\\d": self._describe, "\\timing": self._time, "\\format": self._format, "\\o": self._redirect,
            "\\q": self._leave, "\\?": self._help,
        }  # fmt: skip
        if name not in known:
            raise QueryError(f"There is no command {name}.", hint="\\? lists them.")
        known[name](argument.strip())

    def _describe(self, name: str) -> None:
        tables = self.connection.tables()
        if not name:
            rows = [(one.schema, one.name, one.kind.lower(), len(one.columns)) for one in tables]
            output.out.print(output.table(("schema", "name", "kind", "columns"), rows))
            return
        wanted = name.rpartition(".")[2].strip('"').upper()
        for table in tables:
            if table.name.upper() == wanted:
                columns = [(column.name, column.type, column.precision) for column in table.columns]
                output.out.print(output.table(("column", "type", "precision"), columns, title=table.name))
                return
        raise QueryError(f"There is no table {name}.", hint="\\d lists them.")

    def _time(self, _: str) -> None:
        self.timing = not self.timing
        output.out.print(f"timing is {'on' if self.timing else 'off'}", style="dim")

    def _format(self, kind: str) -> None:
        if kind not in FORMATS:
            raise QueryError(f"{kind!r} is no format.", hint=f"There are {', '.join(FORMATS)}.")
        self.target.kind = kind

    def _redirect(self, file: str) -> None:
        if not file and self.target.kind == "parquet":
            raise ConfigError("Parquet needs a file; choose another format first: \\format table")
        self.target.redirect(Path(file).expanduser() if file else None)

    def _leave(self, _: str) -> None:
        raise Leave

    def _help(self, _: str) -> None:
        output.out.print(HELP.format(formats=", ".join(FORMATS)), markup=False)
