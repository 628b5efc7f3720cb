"""Episodes that go on while something is wrong with a subject, and end once it has been calm for some steps.

What is wrong in a step comes in; findings go out.
"""

from collections import deque
from collections.abc import Callable, Sequence

from gradcube.diagnosis.episodes import RECENT_STEPS, Episodes, Moment, Sight, ranks_of
from gradcube.diagnosis.findings import Finding, Subject
from gradcube.diagnosis.frames import StepFrame


class LastingEpisodes:
    """Those of one kind. Each step begins with `begin`; `num_steps` says how many have, up to RECENT_STEPS."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._episodes = Episodes()
        self._recent: deque[Moment] = deque(maxlen=RECENT_STEPS)
        self._last_bad: dict[Subject, int] = {}

    def restore(self, findings: Sequence[Finding]) -> None:
        """Open episodes go on."""
        self._episodes.restore(findings)

    @property
    def num_steps(self) -> int:
        """Steps seen so far, RECENT_STEPS at the most."""
        return len(self._recent)

    def get(self, subject: Subject) -> Finding | None:
        """The open episode of a subject."""
        return self._episodes.get(self._kind, subject)

    def ranks(self) -> list[int]:
        """Ranks that have an open episode."""
        return ranks_of(self._episodes.subjects(self._kind))

    def begin(self, frame: StepFrame) -> None:
        """Comes to a step."""
        self._recent.append(Moment.of(frame))

    def note(self, subject: Subject, run: int, sight: Sight) -> list[Finding]:
        """Something is wrong with a subject in this step, and has been for `run` steps: opens or updates."""
        moment = self._recent[-1]
        self._last_bad[subject] = moment.step
        if self.get(subject) is not None:
            return self._episodes.update(moment, self._kind, subject, sight)
        onset = self._recent[-min(max(run, 1), len(self._recent))]
        return self._episodes.open(moment, onset, self._kind, subject, sight)

    def close_calm(self, calm_steps: int, verdict: Callable[[Subject, int, int], str]) -> list[Finding]:
        """Ends what has not been wrong for `calm_steps`; `verdict` has the subject, the onset and the last bad step."""
        findings: list[Finding] = []
        for subject in self._episodes.subjects(self._kind):
            opened, step = self.get(subject), self._recent[-1].step
            assert opened is not None
            end = self._last_bad.setdefault(subject, step)
            if step - end >= calm_steps:
                del self._last_bad[subject]
                said = verdict(subject, opened.onset_step, end)
                findings += self._episodes.close(end, self._kind, subject, said, opened.magnitude)
        return findings
