"""One measured figure: a ratio against the best alternative of the same run, or a count, with its goal."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """`met` is None where the goal cannot be judged in this run (say why in `note`)."""

    name: str
    value: float
    unit: str
    goal: str
    met: bool | None
    note: str = ""
    details: dict[str, float] = field(default_factory=dict)
