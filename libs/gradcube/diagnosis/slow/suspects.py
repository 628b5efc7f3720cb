"""Whom an alarm of the watch is about; a job or link that is slow because of somebody raises none of its own.

An alarm comes in, with the watch that raised it; culprits go out.
"""

import numpy as np

from gradcube.diagnosis.slow.center import median
from gradcube.diagnosis.slow.locate import Culprit, group_of, slow_ranks
from gradcube.diagnosis.slow.watch import Alarm, Watch
from gradcube.windows.columns import FloatArray, IntArray

WAITING_SHARE = 0.5
"""A suspect who explains so much of a slow job makes the job's own alarm wait."""


def culprits(watch: Watch, alarm: Alarm) -> list[Culprit]:
    """The group all of whose ranks are slow, else the ranks; none when somebody else explains the alarm."""
    columns = watch.grid.members("rank" if alarm.kind == "link" else alarm.kind, alarm.unit)
    if alarm.kind == "job":
        return [] if _is_somebody(watch, alarm) else [Culprit("job", 0, tuple(columns.tolist()))]

    def excess(of: IntArray) -> FloatArray:
        return watch.excess(of, alarm.steps, alarm.kind)

    if alarm.kind == "link":
        own = float(watch.excess(columns, alarm.steps, "rank")[0])
        late = own < WAITING_SHARE * float(excess(columns)[0])
        return [Culprit("link", alarm.unit, tuple(columns.tolist()))] if late else []
    columns = columns[np.isfinite(excess(columns))]
    if not len(columns):
        return []  # they have just been named with others
    kinds = ("node", "stage", "replica") if alarm.kind == "replica" else ("node", "stage")
    group = group_of(watch.grid, columns, excess, kinds)
    if group is not None:
        return [group]
    # Most of a replica's ranks are slow: their median hides them. Otherwise ranks raise alarms of their own.
    return slow_ranks(columns, excess, watch.settings.min_ratio) if alarm.kind in ("rank", "replica") else []


def _is_somebody(watch: Watch, alarm: Alarm) -> bool:
    """Whether a suspect, or half of one, explains a slow job: then it is not the job's own alarm."""
    amount = median(watch.job.recents(np.zeros(1, np.int64), alarm.steps)[0])
    for family in (watch.ranks, watch.links, *watch.groups.values()):
        worst = int(np.argmax(family.total))
        suspected = family.total[worst] > family.open_at / 3
        if suspected and len(family) > 1 and median(family.recent(worst, alarm.steps)) > WAITING_SHARE * amount:
            return True
    return False
