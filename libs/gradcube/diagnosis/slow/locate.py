"""Whom an alarm is about: one rank, or the node, stage or replica all of whose ranks have become slow."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from gradcube.diagnosis.slow.grid import Grid
from gradcube.windows.columns import FloatArray, IntArray

SHARE = 0.4
"""Of the group's slow-down that each of its ranks must show: half way between slow and not, with room for noise."""
TOLERATED = 8
"""One rank in so many may fail to."""
PREFERENCE = ("node", "replica", "stage")
"""Of groups with the same ranks: a node can be looked at and exchanged."""

Excess = Callable[[IntArray], FloatArray]


@dataclass(frozen=True)
class Culprit:
    """A group, or a rank by its column: `number` within its kind."""

    kind: str
    number: int
    columns: tuple[int, ...]


def group_of(grid: Grid, seeds: IntArray, excess: Excess, kinds: Iterable[str]) -> Culprit | None:
    """The largest group of a slow rank all of whose ranks are slow; None when it is a matter of ranks.

    `seeds` are columns of ranks, `excess` gives the median log excess of columns since the onset.
    """
    amount = float(np.nanmax(excess(seeds)))
    found: list[Culprit] = []
    for kind in PREFERENCE:
        groups = grid.groups[kind]
        if kind not in kinds or not groups.are_shared:
            continue
        for number in np.unique(groups.partition.of[seeds]).tolist():
            columns = grid.members(kind, number)
            if 1 < len(columns) < len(grid) and _all_slow(excess(columns), amount):
                found.append(Culprit(kind, number, tuple(columns.tolist())))
    return max(found, key=lambda culprit: len(culprit.columns), default=None)


def slow_ranks(seeds: IntArray, excess: Excess, min_ratio: float) -> list[Culprit]:
    """The ranks among the seeds that are slow by at least half of what the slowest is."""
    amounts = excess(seeds)
    enough = max(float(np.nanmax(amounts)) / 2, math.log(min_ratio))
    return [Culprit("rank", seed, (seed,)) for seed in seeds[amounts >= enough].tolist()]


def _all_slow(amounts: FloatArray, amount: float) -> bool:
    present = amounts[np.isfinite(amounts)]
    usual = float(np.median(present)) if len(present) > 1 else 0.0
    slow = int((present >= SHARE * max(usual, amount / 2)).sum())
    return usual > 0 and len(present) > 1 and slow >= len(present) - len(present) // TOLERATED
