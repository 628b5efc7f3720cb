from collections.abc import Sequence

import numpy as np
from tests.unit.diagnosis.simulating import noise
from tests.unit.windows.making import SECOND, START, make_rows

from gradcube.diagnosis import Detector, Diagnosis, Finding, StepFrame, StragglerDetector, StragglerSettings
from gradcube.windows import StepRows


class Recorder(Detector):
    """A detector that remembers what it was given."""

    name = "recorder"
    kinds = frozenset({"STRAGGLER"})
    Settings = StragglerSettings

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[int] = []
        self.restored: list[Finding] = []

    def observe(self, frame: StepFrame) -> list[Finding]:
        self.steps.append(frame.step)
        return []

    def restore(self, findings: Sequence[Finding]) -> None:
        self.restored += findings


def slowed_job(steps: int = 200) -> list[StepRows]:
    """One batch a rank and ten steps; rank 1 is slow in steps 100 to 149."""
    compute = 0.1 * noise(steps, 4, 0.05, 0.3, 1)
    compute[100:150, 1] *= 1.7
    return [
        make_rows(
            [float(step) for step in range(start, start + 10)], rank=rank, step=range(start, start + 10),
            seq=range(start, start + 10), forward_seconds=0.0, backward_seconds=compute[start : start + 10, rank],
            node=f"node-{rank}",
        )
        for start in range(0, steps, 10)
        for rank in range(4)
    ]  # fmt: skip


def test_every_detector_sees_every_step_once_and_in_order() -> None:
    recorders = [Recorder(), Recorder()]
    diagnosis = Diagnosis("bert", 0, recorders)
    for rows in slowed_job(50):
        diagnosis.add(rows)
        diagnosis.add(rows)
    diagnosis.advance(START + 100 * SECOND)
    assert [r.steps for r in recorders] == [list(range(50))] * 2


def test_rows_of_a_slow_rank_become_a_finding() -> None:
    diagnosis, findings = Diagnosis("bert", 0, [StragglerDetector()]), []
    for rows in slowed_job():
        findings += diagnosis.add(rows)
        findings += diagnosis.advance(int(rows.ended_at_micros.max()) - 30 * SECOND)
    assert [(f.state, f.subject.rank, f.subject.node) for f in findings] == [
        ("OPENED", 1, "node-1"), ("CLOSED", 1, "node-1"),
    ]  # fmt: skip


def test_order_of_the_batches_does_not_matter() -> None:
    batches = slowed_job()
    shuffled = [batches[at] for at in np.random.default_rng(3).permutation(len(batches))]
    found = []
    for order in (batches, shuffled):
        diagnosis = Diagnosis("bert", 0, [StragglerDetector()])
        findings = [f for rows in order for f in diagnosis.add(rows)]
        found.append(findings + diagnosis.advance(START + 1_000 * SECOND))
    assert found[0] == found[1]
    assert found[0]


def test_restore_reaches_every_detector() -> None:
    batches, recorder = slowed_job(), Recorder()
    diagnosis = Diagnosis("bert", 0, [StragglerDetector()])
    findings = [f for rows in batches for f in diagnosis.add(rows)] + diagnosis.advance(START + 1_000 * SECOND)
    Diagnosis("bert", 0, [recorder]).restore(findings[:1])
    assert recorder.restored == findings[:1]
