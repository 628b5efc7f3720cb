"""Line charts as SVG text, coloured by the page's style sheet: values by step in, markup out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from gradcube.windows.columns import FloatArray, IntArray

WIDTH, HEIGHT = 960, 240
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 28
MAX_POINTS = 480
"""A bin of steps is drawn by its lowest and its highest value, so that no spike is lost."""


@dataclass(frozen=True, eq=False)
class Line:
    """`kind` is its class in the style sheet: own, middle or loss."""

    name: str
    kind: str
    values: FloatArray


@dataclass(frozen=True)
class Shade:
    """An episode: from one column of the chart to another, both included."""

    name: str
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class Chart:
    """One chart over the steps `step` (steps,); `band` is its lower and upper edge, under the lines."""

    title: str
    unit: str
    step: IntArray
    lines: Sequence[Line]
    band: tuple[FloatArray, FloatArray] | None = None
    shades: Sequence[Shade] = ()

    def svg(self) -> str:
        """The markup; its title and description are what a screen reader says."""
        drawn = _Drawing(self)
        return (
            f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
            f"<title>{escape(self.title)}</title><desc>{escape(self.described())}</desc>"
            f"{drawn.shades()}{drawn.axes()}{drawn.band()}{''.join(drawn.line(line) for line in self.lines)}</svg>"
        )

    def described(self) -> str:
        """Each line's range, and the episodes, as a sentence."""
        parts = [f"steps {self.step[0]} to {self.step[-1]}"]
        for line in self.lines:
            finite = line.values[np.isfinite(line.values)]
            if len(finite):
                parts.append(f"{line.name} from {finite.min():.4g} to {finite.max():.4g} {self.unit}".strip())
        parts += [f"{one.name} from step {self.step[one.first]} to {self.step[one.last]}" for one in self.shades[:5]]
        return "; ".join(parts)


class _Drawing:
    def __init__(self, chart: Chart) -> None:
        self._chart = chart
        everything = [line.values for line in chart.lines] + list(chart.band or ())
        finite = np.concatenate([values[np.isfinite(values)] for values in everything])
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
        self._ticks = ticks(low, high)
        self._low, self._high = min(low, self._ticks[0]), max(high, self._ticks[-1])

    def x(self, column: float) -> float:
        return LEFT + (column + 0.5) / len(self._chart.step) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (value - self._low) / ((self._high - self._low) or 1.0)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def shades(self) -> str:
        return "".join(
            f'<rect class="shade" x="{self.x(one.first - 0.5):.1f}" y="{TOP}" height="{HEIGHT - TOP - BOTTOM}" '
            f'width="{max(self.x(one.last + 0.5) - self.x(one.first - 0.5), 2):.1f}">'
            f"<title>{escape(one.name)}</title></rect>"
            for one in self._chart.shades
        )

    def axes(self) -> str:
        across = "".join(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{self.y(tick):.1f}" y2="{self.y(tick):.1f}"/>'
            f'<text class="tick" x="{LEFT - 6}" y="{self.y(tick) + 4:.1f}" text-anchor="end">{tick:.6g}</text>'
            for tick in self._ticks
        )
        unit = f'<text class="tick" x="{LEFT}" y="{TOP - 2}">{escape(self._chart.unit)}</text>'
        return across + unit + self._steps()

    def _steps(self) -> str:
        step = self._chart.step
        columns = sorted({round(share * (len(step) - 1)) for share in (0, 0.2, 0.4, 0.6, 0.8, 1)})
        return "".join(
            f'<text class="tick" x="{self.x(column):.1f}" y="{HEIGHT - 8}" '
            f'text-anchor="{"end" if column == columns[-1] else "middle"}">{step[column]}</text>'
            for column in columns
        )

    def band(self) -> str:
        if self._chart.band is None:
            return ""
        low, high = self._chart.band
        shape = "".join(
            f"M{self._points(there)}L{self._points(list(reversed(back)))}Z"
            for there, back in zip(pieces(low), pieces(high), strict=False)
        )
        return f'<path class="band" d="{shape}"/>'

    def line(self, line: Line) -> str:
        shape = "".join(f"M{self._points(points)}" for points in pieces(line.values))
        return f'<path class="line {escape(line.kind)}" d="{shape}"><title>{escape(line.name)}</title></path>'

    def _points(self, points: Sequence[tuple[float, float]]) -> str:
        drawn = [f"{self.x(column):.1f} {self.y(value):.1f}" for column, value in points]
        return "L".join(drawn if len(drawn) > 1 else drawn * 2)  # a point alone is a line of no length: a dot


def pieces(values: FloatArray) -> list[list[tuple[float, float]]]:
    """(column, value) of the runs without gaps, thinned to about MAX_POINTS in all; (steps,) in."""
    size = max(1, math.ceil(2 * len(values) / MAX_POINTS)) if len(values) > MAX_POINTS else 1
    runs: list[list[tuple[float, float]]] = [[]]
    for first in range(0, len(values), size):
        part = values[first : first + size]
        at = np.flatnonzero(np.isfinite(part))
        if not len(at):
            runs += [[]] if runs[-1] else []
            continue
        for place in sorted({int(at[np.argmin(part[at])]), int(at[np.argmax(part[at])])}):
            runs[-1].append((first + place, float(part[place])))
    return [run for run in runs if run]


def ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers over a range."""
    span = high - low or abs(high) or 1.0
    rough = span / 4
    power = 10.0 ** math.floor(math.log10(rough))
    size = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    first = math.floor(low / size)
    last = max(math.ceil(high / size), first + 1)
    return [place * size for place in range(first, last + 1)]
