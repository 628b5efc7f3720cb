"""The watch over one attempt: learns what is usual, then says at each step which units are suspected, and for how long.

Frames come in, with the episodes that are open; alarms go out, and the excesses that explain them.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from gradcube.diagnosis.frames import StepFrame
from gradcube.diagnosis.slow.center import center, median, medians
from gradcube.diagnosis.slow.decompose import Parts, References, decompose, references
from gradcube.diagnosis.slow.family import Family
from gradcube.diagnosis.slow.grid import GROUP_KINDS, Grid
from gradcube.diagnosis.slow.settings import StragglerSettings
from gradcube.diagnosis.slow.signals import exchange_log_seconds, job_log_seconds, own_log_seconds
from gradcube.diagnosis.slow.slowdown import Episode, shifts
from gradcube.windows.columns import BoolArray, FloatArray, IntArray

GROUP_STEPS = RANK_STEPS = 2
"""An alarm rests on two steps at the least: single slow steps are pauses."""
LINK_STEPS = 4
JOB_STEPS = 32
"""What all ranks share is expected to be the median of so many steps."""
SHARED_STEPS = 64
BURST_STEPS = 3
"""An episode of so few steps was a pause, of a kind that may come again."""


@dataclass(frozen=True)
class Alarm:
    """A unit whose CUSUM is high enough, and the steps since its onset."""

    kind: str
    unit: int
    steps: int


class Watch:
    """The families of units of one attempt, once the baseline is there."""

    def __init__(
        self, grid: Grid, frames: list[StepFrame], settings: StragglerSettings, episodes: list[Episode]
    ) -> None:
        self.grid = grid
        self.settings = settings
        ranks = len(grid)
        self.ranks = Family("rank", ranks, settings, RANK_STEPS)
        self.links = Family("link", ranks, settings, LINK_STEPS)
        self.job = Family("job", 1, settings, settings.job_steps)
        self.groups = {
            kind: Family(kind, len(grid.groups[kind].names), settings, GROUP_STEPS)
            for kind in GROUP_KINDS
            if grid.groups[kind].are_shared
        }
        self._as_peers = np.zeros(ranks, bool)
        self._owns: deque[FloatArray] = deque(maxlen=8)
        self._shared: deque[FloatArray] = deque(maxlen=SHARED_STEPS)
        self._jobs: deque[float] = deque(maxlen=JOB_STEPS)
        self._learn_baseline(frames, episodes)

    def _learn_baseline(self, frames: list[StepFrame], episodes: list[Episode]) -> None:
        columns = [self.grid.places(frame) for frame in frames]
        own_logs = [own_log_seconds(frame) for frame in frames]
        exchanges = [exchange_log_seconds(frame, own) for frame, own in zip(frames, own_logs, strict=True)]
        logs = np.array([self.grid.spread(own, at) for own, at in zip(own_logs, columns, strict=True)])
        waits = np.array([self.grid.spread(wait, at) for wait, at in zip(exchanges, columns, strict=True)])
        self.ranks.history.level = _offsets(logs)
        self.links.history.level = _offsets(waits)
        jobs = np.array([job_log_seconds(frame, own) for frame, own in zip(frames, own_logs, strict=True)])
        for episode in episodes:
            if episode.kind == "rank":
                self._as_peers[episode.columns] = True
            elif episode.kind == "job":
                jobs = jobs - episode.excess
            elif episode.kind != "link":
                self.ranks.history.level[episode.columns] -= episode.excess
        self._share_out_replicas()
        self.refresh()
        self.first_offset = self.references.offset.copy()
        shift = shifts(episodes, len(self.grid))
        for own, wait, job in zip(logs, waits, jobs, strict=True):
            self._take(own, shift, wait, job)
            self._learn(_covered(episodes, len(self.grid)), job_covered=False)
        self.refresh()

    def _share_out_replicas(self) -> None:
        """Takes what a replica's ranks have in common out of their levels: it is the replica's own, with its noise."""
        if "replica" in self.groups:
            replicas, level = self.grid.groups["replica"].partition, self.ranks.history.level
            offset = references(self.grid, level, self._as_peers, self.settings).offset
            self.groups["replica"].history.level = replicas.center(offset)
            self.ranks.history.level = level - replicas.center(offset)[replicas.of]

    def refresh(self) -> None:
        """Says anew what ranks are compared with."""
        self.references: References = references(self.grid, self.ranks.history.level, self._as_peers, self.settings)
        self.ranks.reference = self.references.alarm
        self._refreshed_at = self.ranks.history.measured

    def judge(self, frame: StepFrame, columns: IntArray, episodes: list[Episode]) -> list[Alarm]:
        """Adds a step, and says who is suspected; groups before ranks."""
        own_log = own_log_seconds(frame)
        own, wait = self.grid.spread(own_log, columns), self.grid.spread(exchange_log_seconds(frame, own_log), columns)
        shift = shifts(episodes, len(self.grid))
        self._take(own, shift, wait, job_log_seconds(frame, own_log))
        alarmed = {kind: family.judge(self.parts.groups[kind]) for kind, family in self.groups.items()}
        alarmed["rank"] = self.ranks.judge(self.parts.own, shift)
        if not any(episode.kind != "job" for episode in episodes):
            explained = sum(episode.excess for episode in episodes)
            rung = self.job.judge(self._job, explained)
            alarmed["job"] = rung if len(rung) or not self.job.new_level_steps(0) else np.zeros(1, np.int64)
        alarmed["link"] = self.links.judge(self._wait, shifts(episodes, len(self.grid), ("link",)))
        return [
            Alarm(kind, unit, steps)
            for kind, units in alarmed.items()
            for unit in units.tolist()
            if (steps := self.family(kind).slow_steps(unit) or (kind == "job" and self.job.new_level_steps(unit)))
        ]

    def learn(self, episodes: list[Episode]) -> None:
        """Takes the step that was judged into what is usual of whoever is not suspected and has no episode."""
        self._learn(_covered(episodes, len(self.grid)), job_covered=bool(episodes))
        if self._refreshed_at != self.ranks.history.measured:
            self.refresh()

    def family(self, kind: str) -> Family:
        """The units of a kind."""
        return {"rank": self.ranks, "job": self.job, "link": self.links}.get(kind) or self.groups[kind]

    def excess(self, columns: IntArray, steps: int, kind: str) -> FloatArray:
        """Of each of these ranks the median log excess over its usual level in the last steps, (len(columns),).

        For the alarm of a replica, whose ranks have it in common, with what the replica shares.
        """
        return medians(self.excesses(columns, steps, kind))

    def excesses(self, columns: IntArray, steps: int, kind: str) -> FloatArray:
        """The log excesses of these ranks in the last steps, (len(columns), steps)."""
        if kind == "link":
            return self.links.recents(columns, steps)
        lift = (self.references.alarm - self.references.usual)[columns]
        found = self.ranks.recents(columns, steps) + lift[:, None]
        if kind == "replica":
            shared = np.array(self._shared)[-found.shape[1] :, columns].T
            found[:, found.shape[1] - shared.shape[1] :] += shared
        return found

    def now(self, episode: Episode) -> tuple[float, float]:
        """The log excess of an episode's subject in this step (NaN when absent), and the noise of it."""
        if episode.kind == "job":
            return float(self._job[0] - self.job.history.level[0]), float(self.job.history.scale[0])
        at = episode.columns
        if episode.kind == "link":
            return median((self._wait - self.links.history.level)[at]), float(np.median(self.links.history.scale[at]))
        scale = float(np.median(self.ranks.history.scale[at]))
        if episode.kind in ("rank", "stage"):
            return median((self.parts.own - self.references.usual)[at]), scale
        if "replica" in self.groups:
            scale = max(scale, float(np.median(self.groups["replica"].history.scale)))
        usual = self.references.usual + self._usual_replica()[self.grid.groups["replica"].partition.of]
        return median((self._log_own - self.parts.job - usual)[at]), scale

    def opened(self, kind: str, columns: IntArray, steps: int) -> None:
        """Takes note of an episode: what it explains is nobody else's doing, and was never healthy."""
        if kind in ("job", "link"):
            self.family(kind).forget(columns if kind == "link" else np.zeros(1, np.int64), steps)
            return
        self.ranks.forget(columns, steps)
        self.links.clear(columns)
        for name, family in self.groups.items():
            family.forget(np.unique(self.grid.groups[name].partition.of[columns]), steps)
        self.job.forget(np.zeros(1, np.int64), steps)

    def closed(self, episode: Episode, steps: int) -> None:
        """Takes note of an end: ranks whose level from before was no healthy one have that of their last steps."""
        if len(episode.excesses) <= BURST_STEPS:
            self.family(episode.kind).history.count_beyond(len(episode.excesses))
        if episode.kind in ("job", "link"):
            return
        level, history = self.ranks.history.level, self.ranks.history
        recent = np.array(self._owns)[-steps:]
        for column in episode.columns.tolist():
            if self._as_peers[column] or level[column] > self.references.usual[column] + 1e-9:
                history.relearn(column, recent[:, column])
        self._as_peers[episode.columns] = False
        self.ranks.clear(episode.columns)
        self._refreshed_at = -1

    def moved(self, grid: Grid) -> IntArray:
        """Goes on with a grid that has more ranks, or ranks elsewhere; where each rank's column is now."""
        old_to_new: IntArray = np.searchsorted(grid.rank, self.grid.rank)
        self.ranks, self.links = (family.moved(old_to_new, len(grid)) for family in (self.ranks, self.links))
        groups = {}
        for kind in GROUP_KINDS:
            if grid.groups[kind].are_shared:
                groups[kind] = self._moved_groups(kind, grid)
        as_peers, offset = np.zeros(len(grid), bool), np.zeros(len(grid))
        as_peers[old_to_new], offset[old_to_new] = self._as_peers, self.first_offset
        self.grid, self.groups, self._as_peers, self.first_offset = grid, groups, as_peers, offset
        self._owns.clear()
        self._shared = deque((np.zeros(len(grid)) for _ in self._shared), SHARED_STEPS)
        self.refresh()
        return old_to_new

    def configure(self, settings: StragglerSettings) -> None:
        """Other thresholds from the next step on."""
        self.settings = settings
        self._refreshed_at = -1
        for family in (self.ranks, self.links, self.job, *self.groups.values()):
            family.settings = settings

    def _moved_groups(self, kind: str, grid: Grid) -> Family:
        """The family of a kind in another grid; a fresh one when a group is gone."""
        old, names = self.grid.groups[kind].names, grid.groups[kind].names
        if kind not in self.groups or not set(old) <= set(names):
            return Family(kind, len(names), self.settings, GROUP_STEPS)
        return self.groups[kind].moved(np.array([names.index(name) for name in old], np.int64), len(names))

    def _expected(self, log_own: FloatArray, shift: FloatArray) -> tuple[FloatArray, float]:
        """Where each rank's log time lies when nothing changes, and what the job shares lately.

        A rank with an episode is where that has put it, or back to normal, whichever is nearer: when most of a replica
        recovers at once, that is nothing the replica shares, and the rank that was never slow has not become so.
        """
        level = np.where(shift > 0, self.references.usual, self.ranks.history.level)
        usual_job = median(np.array(self._jobs)) if self._jobs else median(log_own - level - shift)
        is_slow = log_own - level - usual_job > shift / 2
        return level + np.where(is_slow, shift, 0.0), usual_job

    def _usual_replica(self) -> FloatArray:
        """What each replica shares usually, (replicas,)."""
        replicas = self.groups.get("replica")
        return np.zeros(len(self.grid.groups["replica"].names)) if replicas is None else replicas.history.level

    def _take(self, log_own: FloatArray, shift: FloatArray, wait: FloatArray, job: float) -> None:
        expected, usual_job = self._expected(log_own, shift)
        self.parts: Parts = decompose(self.grid, log_own, expected, usual_job, self._usual_replica())
        self._log_own = log_own
        if np.isfinite(self.parts.job):
            self._jobs.append(self.parts.job)
        self._owns.append(self.parts.own)
        self._shared.append(self.parts.replica)
        self._job = np.array([job])
        self._wait = wait - center(wait - self.links.history.level)

    def _learn(self, covered: BoolArray, *, job_covered: bool) -> None:
        self.ranks.learn(self.parts.own, ~covered)
        self.links.learn(self._wait, ~covered)
        self.job.learn(self._job, np.array([not job_covered]))
        for kind, family in self.groups.items():
            partition = self.grid.groups[kind].partition
            touched = np.bincount(partition.of, covered, len(family)) > 0
            family.learn(self.parts.groups[kind], ~touched)


def _covered(episodes: list[Episode], ranks: int) -> BoolArray:
    covered = np.zeros(ranks, bool)
    for episode in episodes:
        if episode.kind != "job":
            covered[episode.columns] = True
    return covered


def _offsets(logs: FloatArray) -> FloatArray:
    """Each rank's usual distance from the median rank, (ranks,), from (steps, ranks); 0 for one never measured."""
    middle = medians(logs)[:, None]
    return np.nan_to_num(medians((logs - middle).T))
