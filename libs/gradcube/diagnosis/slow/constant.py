"""What has been so from the first step: a rank a little slower than its peers, a stage that costs more than the others.

The usual levels of ranks and stages come in; each such thing goes out once.
"""

import math

import numpy as np

from gradcube.diagnosis.slow.center import median
from gradcube.diagnosis.slow.grid import Grid
from gradcube.diagnosis.slow.locate import Culprit, group_of, slow_ranks
from gradcube.diagnosis.slow.watch import Watch

SIGMAS = 6.0
"""How far beyond the uncertainty of its level a difference must lie."""
LOOKS = (1, 2, 4)
"""Times `settled_steps` at which it is looked for."""
MOST = 8
"""No more than the worst so many at once: the rest is the scatter of a large cluster."""


class Constants:
    """What has been told already, and when to look; `told` holds the names of subjects (kind, name)."""

    def __init__(self) -> None:
        self.told: set[tuple[str, object]] = set()

    def look(self, watch: Watch) -> list[tuple[Culprit, float, int]]:
        """Culprits not told before, each with its log difference and the steps it rests on."""
        steps = int(median(watch.ranks.history.counts))
        looks = [n * watch.settings.settled_steps for n in LOOKS]
        if steps not in looks or len(watch.grid) < 3:
            return []
        found = {
            name_of(watch.grid, culprit): (culprit, e, steps)
            for culprit, e in (*_stages(watch), *_replicas(watch), *_slower(watch))
        }
        fresh = [name for name in found if name not in self.told][:MOST]
        self.told.update(fresh)
        return [found[name] for name in fresh]


def name_of(grid: Grid, culprit: Culprit) -> tuple[str, object]:
    """A culprit's kind and name, the same in every grid."""
    if culprit.kind == "rank":
        return "rank", int(grid.rank[culprit.number])
    return culprit.kind, grid.groups[culprit.kind].names[culprit.number]


def _slower(watch: Watch) -> list[tuple[Culprit, float]]:
    """Ranks, or nodes all of whose ranks, lie between `min_ratio` and `max_level_ratio` above their peers."""
    history, settings = watch.ranks.history, watch.settings
    offset = np.minimum(watch.references.offset, watch.first_offset)
    with np.errstate(divide="ignore"):
        sure = offset > SIGMAS * history.scale / np.sqrt(history.counts)
    little = watch.references.offset <= math.log(settings.max_level_ratio)
    left = np.flatnonzero(sure & little & (offset >= math.log(settings.min_ratio)))
    found: list[tuple[Culprit, float]] = []
    while len(left) and len(found) < MOST:
        worst = left[[int(np.argmax(offset[left]))]]
        group = group_of(watch.grid, worst, lambda columns: offset[columns], ("node", "replica"))
        culprit = group or slow_ranks(worst, lambda columns: offset[columns], settings.min_ratio)[0]
        found.append((culprit, float(np.median(watch.references.offset[list(culprit.columns)]))))
        left = np.setdiff1d(left, culprit.columns)
    return found


def _replicas(watch: Watch) -> list[tuple[Culprit, float]]:
    """Replicas that lie at least `min_ratio` above the others."""
    family = watch.groups.get("replica")
    if family is None:
        return []
    offset = family.history.level - float(np.median(family.history.level))
    least = np.maximum(
        math.log(watch.settings.min_ratio), SIGMAS * family.history.scale / np.sqrt(family.history.counts)
    )
    return [
        (Culprit("replica", number, tuple(watch.grid.members("replica", number).tolist())), float(offset[number]))
        for number in np.flatnonzero(offset > least).tolist()
    ]


def _stages(watch: Watch) -> list[tuple[Culprit, float]]:
    """Stages that lie more than `max_level_ratio` above the others."""
    most = math.log(watch.settings.max_level_ratio)
    return [
        (Culprit("stage", number, tuple(watch.grid.members("stage", number).tolist())), float(amount))
        for number, amount in enumerate(watch.references.stage)
        if amount > most
    ]
