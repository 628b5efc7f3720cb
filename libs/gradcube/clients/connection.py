"""`gradcube.connect(url).query(sql)`: Arrow from a gradcube gateway, Kylin's JSON from everything else."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from gradcube.clients import arrow
from gradcube.clients.address import Address, resolve
from gradcube.clients.http import Http, NotFound
from gradcube.clients.kylin_json import Column, read_answer
from gradcube.clients.literals import bind
from gradcube.clients.progress import Advance, following
from gradcube.clients.result import Result
from gradcube.errors import QueryError

ROW_LIMIT = 50_000
ARROW_PATH = "/gradcube/v1/query"


@dataclass(frozen=True)
class Table:
    """A table that can be asked; `kind` is TABLE or VIEW."""

    schema: str
    name: str
    kind: str
    columns: tuple[Column, ...]


def connect(url: str, **given: Any) -> "Connection":
    """A connection to `http(s)://USER@HOST:PORT/PROJECT`; nothing is sent yet. Close it, or use it in a `with`.

    `password_file` (of mode 600), `password`, `verify` (the path of the certificate authorities to trust) and
    `timeout_seconds` may be given beside the URL: what stands in one ends in logs and histories. Raises ConfigError.
    """
    return Connection(resolve(url, **given))


class Connection:
    """Asks one project, from any number of threads. `arrow_first=False` asks in Kylin's JSON only."""

    def __init__(self, address: Address, *, arrow_first: bool = True) -> None:
        self._address = address
        self._http = Http(address)
        self._speaks_arrow = arrow_first and arrow.available()

    def query(
        self, sql: str, parameters: Sequence[Any] = (), *, limit: int = ROW_LIMIT, offset: int = 0,
        progress: bool | None = None,
    ) -> Result:  # fmt: skip
        """Answers one SELECT. `parameters` are the values of its `?`, in order.

        At most `limit` rows are given; `partial` of the result tells whether there are more. `progress` shows a bar;
        None: when a person looks. Raises QueryError with the server's words. Ctrl-C ends the connection of the
        question, and with it the question.
        """
        if limit < 1 or offset < 0:
            raise QueryError(f"limit is {limit}, offset {offset}; ask for at least one row, from 0 on.")
        statement, started = bind(sql, parameters), time.monotonic()
        with following("asking", progress) as advance:
            rows, partial = self._answer(statement, limit, offset, advance)
        return Result(rows, partial=partial, seconds=time.monotonic() - started)

    def tables(self) -> list[Table]:
        """The tables of the project, with their columns."""
        found = self._http.get_json("/kylin/api/tables_and_columns", project=self._address.project)
        try:
            return [_table(one) for one in found]
        except (KeyError, TypeError) as error:
            raise QueryError(f"The answer is not Kylin's: {type(error).__name__} {error}.") from error

    def close(self) -> None:
        """Ends it; asking again raises RuntimeError."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self, sql: str, limit: int, offset: int, advance: Advance) -> tuple[Any, bool]:
        """One row more than wanted is asked for: it tells whether the limit cut the answer."""
        if self._speaks_arrow:
            try:
                return self._arrow(sql, limit, offset, advance)
            except NotFound:
                self._speaks_arrow = False  # a plain Kylin
        body = {"sql": sql, "project": self._address.project, "limit": limit + 1, "offset": offset}
        answer = read_answer(self._http.post_json("/kylin/api/query", body | {"acceptPartial": False}, advance))
        return replace(answer, rows=answer.rows[:limit]), answer.partial or len(answer.rows) > limit

    def _arrow(self, sql: str, limit: int, offset: int, advance: Advance) -> tuple[Any, bool]:
        body = {"sql": sql, "project": self._address.project, "limit": limit + 1, "offset": offset, "parameters": []}
        headers = {"Accept": arrow.STREAM}
        _, content = self._http.send("POST", ARROW_PATH, advance=advance, json=body, headers=headers)
        table = arrow.read_stream(content)
        return table.slice(0, limit), table.num_rows > limit


def _table(found: dict[str, Any]) -> Table:
    columns = sorted(found["columns"], key=lambda column: int(column["ordinal_POSITION"]))
    return Table(
        str(found["table_SCHEM"]),
        str(found["table_NAME"]),
        str(found.get("table_TYPE") or "TABLE").upper(),
        tuple(_column(column) for column in columns),
    )


def _column(found: dict[str, Any]) -> Column:
    """`VARCHAR(256) CHARACTER SET ...` and `TIMESTAMP(0)` are a VARCHAR of 256 and a TIMESTAMP."""
    name, _, rest = str(found["type_NAME"]).partition("(")
    digits = [int(text) for text in rest.partition(")")[0].split(",") if text.strip().isdigit()]
    precision, scale = [*digits, None, None][:2]
    return Column(str(found["column_NAME"]), name.strip().upper(), precision, scale)
