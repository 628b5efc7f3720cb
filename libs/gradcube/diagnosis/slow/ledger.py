"""The open episodes of an attempt, and the findings that say what became of them.

Alarms come in, with the watch that raised them; findings go out.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np

from gradcube.diagnosis.findings import Finding
from gradcube.diagnosis.frames import StepFrame
from gradcube.diagnosis.slow.center import median, medians
from gradcube.diagnosis.slow.constant import Constants
from gradcube.diagnosis.slow.grid import Grid
from gradcube.diagnosis.slow.locate import Culprit
from gradcube.diagnosis.slow.recording import Recording
from gradcube.diagnosis.slow.reports import Report, closed, columns_of, constant, key_of, opened, subject_of, updated
from gradcube.diagnosis.slow.signals import cause_of, evidence_of
from gradcube.diagnosis.slow.slowdown import Episode
from gradcube.diagnosis.slow.suspects import culprits
from gradcube.diagnosis.slow.watch import Alarm, Watch
from gradcube.windows.columns import FloatArray, IntArray

KEPT_STEPS = 64


class Ledger:
    """What is open, what has been closed, and what the last steps looked like."""

    def __init__(self, constants: Constants) -> None:
        self.episodes: list[Episode] = []
        self._constants = constants
        self._restored: list[Finding] = []
        self._resolved: dict[tuple[str, object], int] = {}
        self._clock: deque[tuple[int, int]] = deque(maxlen=KEPT_STEPS)
        self._first: tuple[int, int] | None = None
        self._recording = Recording()

    def restore(self, findings: Sequence[Finding]) -> None:
        """Findings of an earlier process, the last of each episode."""
        for finding in findings:
            if finding.subject.shard is not None:
                continue  # another detector's
            key = key_of(finding.subject)
            if finding.kind == "OTHER":
                self._constants.told.add(key)
            elif finding.state == "CLOSED":
                end = finding.detected_step if finding.end_step is None else finding.end_step
                self._resolved[key] = max(end, self._resolved.get(key, -1))
            else:
                self._restored.append(finding)

    def start(self, frame: StepFrame) -> None:
        """Remembers the first step of the attempt."""
        self._first = self._first or (frame.step, frame.at_micros)

    def place_restored(self, grid: Grid) -> None:
        """Gives the restored episodes their ranks, once these are known."""
        for finding in self._restored:
            kind, _ = key_of(finding.subject)
            columns = columns_of(grid, finding.subject)
            step = finding.detected_step
            self.episodes.append(Episode(kind, finding, columns, step, step, restored=True))
        self._restored = []

    def note(self, frame: StepFrame, columns: IntArray, ranks: int) -> None:
        """Remembers a step for onsets and evidence."""
        self._clock.append((frame.step, frame.at_micros))
        self._recording.add(frame, columns, ranks)

    def move(self, old: Grid, new: Grid) -> None:
        """Goes on in a grid with more ranks."""
        old_to_new = np.searchsorted(new.rank, old.rank)
        self._recording.move(old_to_new, len(new))
        for episode in self.episodes:
            episode.columns = old_to_new[episode.columns]

    def follow(self, frame: StepFrame, watch: Watch) -> list[Finding]:
        """Goes on with the open episodes: updates now and then, and the end when the subject has recovered."""
        findings = []
        for episode in list(self.episodes):
            if frame.step <= episode.finding.detected_step:
                continue  # a replay of steps that the episode was opened on
            excess, scale = watch.now(episode)
            if episode.follow(excess, scale, frame.step, watch.settings):
                self.episodes.remove(episode)
                self._resolved[key_of(episode.finding.subject)] = episode.slow_step
                watch.closed(episode, int(watch.settings.close_at))
                findings.append(closed(episode))
            elif episode.is_due(frame.step, scale, watch.settings):
                findings.append(updated(episode, self._report(watch, episode, episode.finding.onset_step), frame.step))
        return findings

    def open_alarms(self, frame: StepFrame, watch: Watch, alarms: Iterable[Alarm]) -> list[Finding]:
        """Opens what the alarms are about, each rank once; those are handed back as findings."""
        findings: list[Finding] = []
        taken: set[int] = {column for e in self.episodes if e.kind in ("rank", "link") for column in e.columns.tolist()}
        for alarm in alarms:
            for culprit in culprits(watch, alarm):
                grown = self._open_about(culprit)
                if grown is not None:
                    grown.keep_last(alarm.steps)
                    watch.opened(culprit.kind, grown.columns, alarm.steps)
                    taken.update(culprit.columns)
                elif taken.isdisjoint(culprit.columns):
                    finding = self._open(frame, watch, alarm, culprit)
                    findings += [finding] if finding else []
                    taken.update(culprit.columns)
        return findings

    def tell_constants(self, frame: StepFrame, watch: Watch) -> list[Finding]:
        """What has been so from the first step, said once."""
        assert self._first is not None
        open_ranks = {column for episode in self.episodes for column in episode.columns.tolist()}
        return [
            constant(frame, watch.grid, self._first, culprit, math.exp(excess), steps)
            for culprit, excess, steps in self._constants.look(watch)
            if culprit.kind == "stage" or open_ranks.isdisjoint(culprit.columns)
        ]

    def _open_about(self, culprit: Culprit) -> Episode | None:
        """The open episode of the same culprit, which has become slower still."""
        same = (e for e in self.episodes if e.kind == culprit.kind and tuple(e.columns.tolist()) == culprit.columns)
        return next(same, None)

    def _open(self, frame: StepFrame, watch: Watch, alarm: Alarm, culprit: Culprit) -> Finding | None:
        columns = np.array(culprit.columns)
        key = key_of(subject_of(watch.grid, culprit))
        if frame.step <= self._resolved.get(key, -1):
            watch.opened(culprit.kind, columns, alarm.steps)
            return None
        onset, excesses = self._since(watch, alarm, culprit)
        excesses = excesses[np.isfinite(excesses)]
        report = Report(median(excesses), onset, subject_of(watch.grid, culprit))
        finding = opened(frame, culprit, self._explained(watch, culprit.kind, columns, report, len(excesses)))
        episode = Episode(culprit.kind, finding, columns, frame.step, frame.step)
        episode.excesses.extend(excesses.tolist())
        self.episodes.append(episode)
        watch.opened(culprit.kind, columns, alarm.steps)
        return finding

    def _since(self, watch: Watch, alarm: Alarm, culprit: Culprit) -> tuple[tuple[int, int], FloatArray]:
        """Step and time of the onset, and the excess of every step since."""
        if culprit.kind == "job":
            return self._clock[-alarm.steps], watch.job.recents(np.zeros(1, np.int64), alarm.steps)[0]
        columns = np.array(culprit.columns)
        excesses = medians(watch.excesses(columns, alarm.steps, alarm.kind).T)
        always = float(np.median(watch.first_offset[columns])) > math.log(watch.settings.max_level_ratio)
        now = float(np.median(watch.references.offset[columns])) > math.log(watch.settings.max_level_ratio)
        assert self._first is not None
        return (self._first if always and now else self._clock[-alarm.steps]), excesses

    def _report(self, watch: Watch, episode: Episode, onset_step: int) -> Report:
        report = Report(episode.excess, (onset_step, 0), episode.finding.subject)
        return self._explained(watch, episode.kind, episode.columns, report, len(episode.excesses))

    def _explained(self, watch: Watch, kind: str, columns: IntArray, report: Report, steps: int) -> Report:
        """The report with its evidence: the subject beside its stage peers, or all others, or its own past."""
        onset = report.onset[0]
        before = self._recording.medians(columns, -1, onset)
        stage = watch.grid.groups["stage"].partition.of
        others = np.setdiff1d(np.arange(len(stage)), columns)
        peers = others[np.isin(stage[others], stage[columns])] if kind != "stage" else others
        beside = before if kind == "job" else self._recording.medians(peers if len(peers) else others, onset)
        evidence = evidence_of(self._recording.medians(columns, onset), beside)
        scale = float(
            np.median(watch.family(kind).history.scale if kind == "job" else watch.ranks.history.scale[columns])
        )
        return report.explained(evidence, cause_of(evidence, report.ratio, before), scale, steps)
