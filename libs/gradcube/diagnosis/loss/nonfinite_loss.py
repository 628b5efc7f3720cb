"""Losses that are no number: which ranks have one, and the episodes that say so.

In a record NaN also stands for "not measured", so NaN counts only beside a number of non-finite values, or where the
rank has always had a loss and its peers still have theirs, or where the whole job's loss stays away.
"""

import numpy as np

from gradcube.diagnosis.episodes import Episodes, Moment, Sight, named, rank_subject
from gradcube.diagnosis.findings import Evidence, Finding, Subject
from gradcube.diagnosis.frames import StepFrame
from gradcube.diagnosis.rank_memory import RankMemory
from gradcube.windows.columns import BoolArray

JOB = Subject()
USUAL_STEPS = 16
"""A rank that had a loss in so many steps in a row measures it in every step."""
SILENT_STEPS = 5
"""A whole job's loss is taken for NaN when it is missing from so many steps in a row, after having been in each."""
NAMED_RANKS = 8
"""So many ranks are named one by one, if they are less than half; else it is the whole job."""


class NonfiniteLoss:
    """Opens an episode of `kind` for each rank, or for the job, whose loss is no number.

    Those of ranks are closed here, after `calm_steps` steps with a number. Some 0.3 ms a step with 8 192 ranks.
    """

    def __init__(self, episodes: Episodes, kind: str) -> None:
        self._episodes = episodes
        self._kind = kind
        self._memory = RankMemory()
        self._measured = self._memory.field(0.0)
        self._last_bad = self._memory.field(-np.inf)
        self._silent_steps = 0
        self.is_job_wrong = False
        """Whether in the last step the whole job's loss was no number."""

    def observe(self, frame: StepFrame, calm_steps: int) -> list[Finding]:
        """Episodes that this step opens or closes."""
        wrong = self.ranks(frame)
        moment, count = Moment.of(frame), int(np.count_nonzero(wrong))
        findings = self._close(frame, calm_steps)
        self.is_job_wrong = count > NAMED_RANKS or count * 2 >= len(wrong) > 0
        if self.is_job_wrong:
            return findings + self._episodes.open(moment, moment, self._kind, JOB, _sight(f"all {count} ranks", moment))
        for at in np.flatnonzero(wrong).tolist():
            subject = rank_subject(frame, at)
            findings += self._episodes.open(moment, moment, self._kind, subject, _sight(named(subject), moment))
        return findings

    def ranks(self, frame: StepFrame) -> BoolArray:
        """Whose loss is no number in this step, (r,)."""
        loss, at = frame.column("loss"), self._memory.columns(frame.rank)
        finite, measured = np.isfinite(loss), self._measured.values[at]
        if finite.all():
            self._silent_steps = 0
            self._measured.values[at] = measured + 1
            return ~finite
        usual = np.isnan(loss) & (measured >= USUAL_STEPS)
        if finite.any():
            self._silent_steps = 0
            # A rank that is NaN keeps its past: it still is one that measures.
            self._measured.values[at] = np.where(finite, measured + 1, np.where(usual, measured, 0.0))
        else:
            self._silent_steps += 1
        counted = np.isnan(loss) & (measured > 0) & (frame.column("nonfinite") > 0)
        gone = usual & (finite.any() or self._silent_steps >= SILENT_STEPS)
        wrong: BoolArray = np.isinf(loss) | counted | gone
        self._last_bad.values[at[wrong]] = frame.step
        return wrong

    def _close(self, frame: StepFrame, calm_steps: int) -> list[Finding]:
        findings: list[Finding] = []
        for subject in self._episodes.subjects(self._kind):
            if subject == JOB:
                continue
            opened = self._episodes.get(self._kind, subject)
            assert opened is not None
            seen = self._last_bad.values[self._memory.ranks == subject.rank]
            end = int(max(opened.detected_step, *seen.tolist())) if len(seen) else opened.detected_step
            if frame.step - end >= calm_steps:
                verdict = f"the loss of {named(subject)} is a number again since step {end + 1}"
                findings += self._episodes.close(end, self._kind, subject, verdict, 1.0)
        return findings


def _sight(who: str, moment: Moment) -> Sight:
    verdict = (
        f"the loss of {who} is not a number (or no longer reported) at step {moment.step}: the step is lost, and the "
        f"model too if it was applied; stop, go back to the last checkpoint, and look at that batch and rank"
    )
    return Sight(verdict, 1.0, 0.9, (Evidence("nonfinite_loss", 1.0, 0.0, "count"),))
