"""An answer as a chart of characters: bars for names, a curve for times. One for each column of numbers."""

import datetime
import decimal
import math
from collections.abc import Sequence
from typing import Any

from rich.bar import Bar
from rich.console import Group
from rich.table import Table
from rich.text import Text

from gradcube.cli.output import cell
from gradcube.clients.result import Result
from gradcube.errors import QueryError

MOST_BARS = 60
CURVE_LINES = 10
WIDEST_VALUE = 6
"""Characters that one value of a short curve takes."""
_EIGHTHS = " ▁▂▃▄▅▆▇█"


def chart(result: Result, width: int) -> Group:
    """The first column says what each value is of; all later columns of numbers are drawn, `width` characters wide.

    Raises QueryError when there is nothing to draw.
    """
    numbers = [place for place in range(1, len(result.columns)) if _is_numeric(result, place)]
    if not numbers or not len(result):
        raise QueryError("Nothing to draw.", hint="A chart needs a column of names or times, and behind it numbers.")
    labels = [row[0] for row in result.rows]
    draw = _curve if isinstance(labels[0], datetime.date) and len(labels) > 2 else _bars
    parts: list[Any] = []
    for place in numbers:
        values = [_float(row[place]) for row in result.rows]
        parts += [Text(result.columns[place], style="bold"), draw(labels, values, width)]
    return Group(*parts)


def _is_numeric(result: Result, place: int) -> bool:
    kinds = (int, float, decimal.Decimal, type(None))
    return all(isinstance(row[place], kinds) and not isinstance(row[place], bool) for row in result.rows)


def _float(value: Any) -> float:
    return math.nan if value is None else float(value)


def _bars(labels: Sequence[Any], values: Sequence[float], width: int) -> Table:
    """Bars from zero, to the left for what is below it; the first `MOST_BARS` of them."""
    finite = [value for value in values if math.isfinite(value)]
    least, most = min([0.0, *finite]), max([0.0, *finite])
    span = (most - least) or 1.0
    table = Table.grid(padding=(0, 1))
    for label, value in list(zip(labels, values, strict=True))[:MOST_BARS]:
        begin, end = sorted((0.0, value)) if math.isfinite(value) else (0.0, 0.0)
        bar = Bar(span, begin - least, end - least, width=max(10, width - 40))
        table.add_row(Text(str(label)[:24]), bar, Text("-" if math.isnan(value) else cell(value)))
    if len(values) > MOST_BARS:
        table.add_row(Text(f"and {len(values) - MOST_BARS} more"))
    return table


def _curve(labels: Sequence[Any], values: Sequence[float], width: int) -> Text:
    """Values in the order of the answer, evenly spaced; of several in one character's width, their mean."""
    columns = max(10, width - 14)
    wide = max(1, min(WIDEST_VALUE, columns // len(values)))
    means = [mean for mean in _resampled(values, columns) for _ in range(wide)]
    finite = [value for value in means if math.isfinite(value)]
    least, most = min(finite, default=0.0), max(finite, default=0.0)
    span = (most - least) or 1.0
    heights = [-1 if math.isnan(one) else round((one - least) / span * (CURVE_LINES * 8 - 1)) + 1 for one in means]
    lines = []
    for line in range(CURVE_LINES - 1, -1, -1):
        scale = {CURVE_LINES - 1: cell(most), 0: cell(least)}.get(line, "")
        lines.append(f"{scale:>12} " + "".join(_EIGHTHS[min(8, max(0, height - 8 * line))] for height in heights))
    lines.append(f"{'':>12} {labels[0]!s}  to  {labels[-1]}")
    return Text("\n".join(lines))


def _resampled(values: Sequence[float], columns: int) -> list[float]:
    if len(values) <= columns:
        return list(values)
    means = []
    for column in range(columns):
        part = values[len(values) * column // columns : len(values) * (column + 1) // columns]
        finite = [value for value in part if math.isfinite(value)]
        means.append(sum(finite) / len(finite) if finite else math.nan)
    return means
