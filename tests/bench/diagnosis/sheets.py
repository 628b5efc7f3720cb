"""Tables of results: a Rich table for a terminal, Markdown for the docs, plain lists for JSON."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.table import Table

from tests.bench.figure import Figure


@dataclass
class Sheet:
    """One table; `note` says how to read it."""

    title: str
    columns: tuple[str, ...]
    note: str = ""
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def rich(self) -> Table:
        """For a terminal."""
        table = Table(*self.columns, title=self.title, caption=self.note or None, title_justify="left")
        for row in self.rows:
            table.add_row(*row)
        return table


def figure_sheet(figures: Sequence[Figure]) -> Sheet:
    """The figures beside their goals."""
    sheet = Sheet("Figures and goals", ("figure", "value", "goal", "met", "note"))
    for figure in figures:
        met = {True: "yes", False: "no", None: "-"}[figure.met]
        sheet.rows.append((figure.name, f"{figure.value:,.4g} {figure.unit}", figure.goal, met, figure.note))
    return sheet


def markdown(sheets: Sequence[Sheet]) -> str:
    """All tables, each under its title."""
    parts = []
    for sheet in sheets:
        lines = [_line(sheet.columns), _line(("---",) * len(sheet.columns)), *(_line(row) for row in sheet.rows)]
        parts.append("\n".join([f"### {sheet.title}", "", *([sheet.note, ""] if sheet.note else []), *lines, ""]))
    return "\n".join(parts)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
