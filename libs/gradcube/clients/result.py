"""The answer to one statement, as rows, as an Arrow table or as a data frame; each is made when it is asked for."""

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

from gradcube.clients import arrow
from gradcube.clients.kylin_json import Typed
from gradcube.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SHOWN_ROWS = 20


class Result:
    """`rows` hold int, float, Decimal, bool, date, datetime, str or None, as the columns' types say.

    `partial` says that there is more than was given: the limit, yours or the server's, cut the answer.
    `seconds` is the time from the question to the last byte.
    """

    def __init__(self, answer: "Typed | pa.Table", *, partial: bool, seconds: float) -> None:
        self._rows: list[tuple[Any, ...]] | None = None
        self._table: pa.Table | None = None
        if isinstance(answer, Typed):
            self._columns, self._rows = answer.columns, answer.rows
        else:
            self._columns, self._table = arrow.columns(answer.schema), answer
        self.partial, self.seconds = partial, seconds

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self._columns)

    @property
    def types(self) -> tuple[str, ...]:
        """The columns' types as Kylin names them, such as BIGINT."""
        return tuple(column.type for column in self._columns)

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """All rows, one tuple each."""
        if self._rows is None:
            self._rows = arrow.rows(self._table)
        return self._rows

    def arrow(self) -> "pa.Table":
        """A pyarrow.Table. Raises ConfigError without pyarrow."""
        if self._table is None:
            assert self._rows is not None
            self._table = arrow.table(self._columns, self._rows)
        return self._table

    def dataframe(self) -> "pd.DataFrame":
        """A pandas.DataFrame. Raises ConfigError without pandas."""
        try:
            import pandas as pd
        except ModuleNotFoundError as error:
            raise ConfigError(f"{error}; install pandas for data frames") from error
        table = self.arrow()
        # Column by column, since a statement may give two columns the same name.
        frame = pd.DataFrame({place: table.column(place).to_pandas() for place in range(table.num_columns)})
        frame.columns = pd.Index(self.columns)
        return frame

    def __len__(self) -> int:
        return len(self._rows) if self._rows is not None else int(self.arrow().num_rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.rows)

    def __repr__(self) -> str:
        return f"<Result: {len(self)} rows of {', '.join(self.columns)}{', cut' * self.partial}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the first rows."""
        head = "".join(f"<th>{escape(name)}</th>" for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>"
            for row in self.rows[:SHOWN_ROWS]
        )
        more = f", the first {SHOWN_ROWS} shown" if len(self) > SHOWN_ROWS else ""
        return f"<table><tr>{head}</tr>{body}</table>{len(self)} rows in {self.seconds:.2f} s{more}"
