"""A step's times taken apart: what the whole job shares, what a replica shares, and what is a rank's own.

Logs of the ranks' times and their usual levels come in; the parts of what has changed go out.
"""

import math
from dataclasses import dataclass

import numpy as np

from gradcube.diagnosis.slow.center import center, median
from gradcube.diagnosis.slow.grid import Grid
from gradcube.diagnosis.slow.settings import StragglerSettings
from gradcube.windows.columns import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class Parts:
    """Logs. `job` is the change that all ranks share, `own` (ranks,) a rank's log time without the shared changes."""

    job: float
    own: FloatArray
    replica: FloatArray
    """What each rank's replica shares beyond what is usual, (ranks,); all that it shares was taken out of `own`."""
    groups: dict[str, FloatArray]
    """By kind the change of each group, its ranks' median, (groups,)."""


def decompose(
    grid: Grid, log_seconds: FloatArray, expected: FloatArray, usual_job: float, usual_replica: FloatArray | float
) -> Parts:
    """Robust additive fit of log_seconds - expected, both (ranks,): job + replica + rest, by centers.

    `usual_job` and `usual_replica`, (replicas,), are what these parts have been lately.

    The ranks of one replica see the same batch, so where sequences differ in length their times move together
    from step to step (11.7 % in one public trace, of which 1.0 % is left); ranks of one stage do the same work. Centers
    are medians nearest to what is usual, so that neither one slow rank of two nor half a replica is shared out over
    the others.
    """
    change = log_seconds - expected
    job = center(change, usual_job)
    rest = change - job
    replica, groups = np.zeros(len(change)), {}
    for kind in ("replica", "stage", "node"):
        if grid.groups[kind].are_shared:
            partition = grid.groups[kind].partition
            low, high = partition.middle(rest)
            groups[kind] = (low + high) / 2
            if kind == "replica":
                shared = np.where(np.isfinite(low), np.clip(usual_replica, low, high), usual_replica)
                rest = rest - shared[partition.of]
                replica = (shared - usual_replica)[partition.of]
    return Parts(job, rest + expected, replica, groups)


@dataclass(frozen=True, eq=False)
class References:
    """What ranks' own log times are compared with, (ranks,) each."""

    offset: FloatArray
    """By how much a rank's usual level lies above its stage peers'; 0 where there are none."""
    usual: FloatArray
    """What a slow-down is measured from."""
    alarm: FloatArray
    """What a rank must exceed: higher than `usual` for one that was slow from the first step."""
    stage: FloatArray
    """By how much a stage lies above the other stages, (stages,)."""


def references(grid: Grid, level: FloatArray, as_peers: BoolArray, settings: StragglerSettings) -> References:
    """From the ranks' usual levels. A rank a little slower than its peers for good is as it is; one that is slower by

    more than `max_level_ratio` is still slow, and counts from its peers' level. One that was faster may become like the
    others without a word. `as_peers` marks ranks whose own level is not known to be healthy.
    """
    stages = grid.groups["stage"]
    middle = center(level)
    stage = stages.partition.center(level - middle)
    offset = level - middle - stage[stages.partition.of]
    if len(grid) <= len(stages.names) + 1 and len(stages.names) == 1:
        offset = np.zeros(len(level))  # of two ranks alone, neither is the peer of the other
    peers, most = level - offset, math.log(settings.max_level_ratio)
    kept = np.clip(offset, -math.log(settings.min_ratio), most)
    slow = (offset > most) | as_peers
    usual = peers + np.where(slow, 0.0, kept)
    return References(offset, usual, peers + np.where(as_peers, 0.0, kept), stage - median(stage))
