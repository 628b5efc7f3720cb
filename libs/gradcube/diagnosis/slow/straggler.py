"""The straggler detector: which rank, node, stage, replica or job has become slower, for more than a moment.

Frames in the order of steps come in; an episode that opens, goes on or is over goes out as a finding.
"""

from collections.abc import Sequence

from gradcube.diagnosis.detector import Detector
from gradcube.diagnosis.findings import Finding
from gradcube.diagnosis.frames import StepFrame
from gradcube.diagnosis.slow.constant import Constants
from gradcube.diagnosis.slow.grid import Grid
from gradcube.diagnosis.slow.ledger import Ledger
from gradcube.diagnosis.slow.settings import StragglerSettings
from gradcube.diagnosis.slow.watch import Watch
from gradcube.diagnosis.slow.workload import Workload
from gradcube.windows.columns import IntArray

__all__ = ["StragglerDetector", "StragglerSettings"]


class StragglerDetector(Detector):
    """CUSUMs over what each rank, node, stage, replica and the whole job takes longer than usual, in units of noise.

    The log of a rank's own time (data, forward, backward) is taken apart into what the job, its replica and itself
    did in this step (`slow.decompose`); each part is compared with its own history (`slow.history`) by a CUSUM
    (`slow.family`). An alarm is about the group all of whose ranks are slow, else about ranks (`slow.locate`).
    Kinds: STRAGGLER is a rank slower than its peers; FAIL_SLOW a node, stage, replica, link or job slower than it was;
    OTHER, said once, a rank or stage that has been a little slower from the first step.

    It assumes that at most half of the ranks, and of each group, become slow at once; that a rank's own time holds
    no waiting for others; that noise is stationary over 128 steps. It says nothing in the first 13 steps, and nothing
    of steps whose tokens, samples or batch size changed. StepSync has no times of single transfers: that an exchange
    became slow for everybody is told, but not which link or server shard did it. Thresholds: `StragglerSettings`.
    A step costs 0.6 ms for 64 ranks and 4 ms for 8 192; state is 4 kB a rank.
    """

    name = "straggler"
    kinds = frozenset({"STRAGGLER", "FAIL_SLOW", "OTHER"})
    Settings = StragglerSettings
    settings: StragglerSettings

    def __init__(self, settings: StragglerSettings | None = None) -> None:
        super().__init__(settings)
        self._warmup_left = self.settings.warmup_steps
        self._baseline: list[StepFrame] = []
        self._grid: Grid | None = None
        self._watch: Watch | None = None
        self._workload = Workload()
        self._constants = Constants()
        self._ledger = Ledger(self._constants)

    def is_own(self, finding: Finding) -> bool:
        """Whether it is about ranks or groups of them: slow shards are another detector's."""
        return super().is_own(finding) and finding.subject.shard is None

    def restore(self, findings: Sequence[Finding]) -> None:
        """Open episodes go on under their ids; what is closed is not opened again for the same steps."""
        self._ledger.restore(findings)

    def observe(self, frame: StepFrame) -> list[Finding]:
        """What this step shows; see `Detector`."""
        self._ledger.start(frame)
        if self._warmup_left > 0:
            self._warmup_left -= 1
            return []
        if self._workload.look(frame):
            if self._workload.has_settled():
                self._watch, self._baseline = None, []
            return []
        grid, columns = self._seat(frame)
        self._ledger.note(frame, columns, len(grid))
        if self._watch is None:
            self._learn(frame, grid)
            return []
        return self._judge(frame, self._watch, columns)

    def configure(self, settings: StragglerSettings) -> None:
        """Other thresholds from the next step on; the noise and all open episodes stay."""
        super().configure(settings)
        if self._watch is not None:
            self._watch.configure(settings)

    def _seat(self, frame: StepFrame) -> tuple[Grid, IntArray]:
        """The grid with every rank of the frame in it, and the ranks' columns."""
        if self._grid is None:
            self._grid = Grid(frame)
        columns = self._grid.columns(frame)
        if columns is None:
            old, self._grid = self._grid, self._grid.joined(frame)
            self._ledger.move(old, self._grid)
            if self._watch is not None:
                self._watch.moved(self._grid)
            columns = self._grid.columns(frame)
        assert columns is not None, "the grid has just been fitted to the frame"
        return self._grid, columns

    def _learn(self, frame: StepFrame, grid: Grid) -> None:
        self._baseline.append(frame)
        if len(self._baseline) >= self.settings.baseline_steps:
            self._ledger.place_restored(grid)
            self._watch = Watch(grid, self._baseline, self.settings, self._ledger.episodes)
            self._baseline = []

    def _judge(self, frame: StepFrame, watch: Watch, columns: IntArray) -> list[Finding]:
        alarms = watch.judge(frame, columns, self._ledger.episodes)
        findings = self._ledger.follow(frame, watch)
        findings += self._ledger.open_alarms(frame, watch, alarms)
        watch.learn(self._ledger.episodes)
        return findings + self._ledger.tell_constants(frame, watch)
