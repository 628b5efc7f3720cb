from types import SimpleNamespace
from typing import Any

from tests.unit.diagnosis.ill_detectors import Ill
from tests.unit.metrics.making import MICROS, START, step_record
from tests.unit.windows.making import make_resources

from gradcube.diagnosis import Detector, Finding, StepFrame
from gradcube.diagnosis.catalog import DETECTORS
from gradcube.diagnosis.hangs.hang import HangSettings
from gradcube.windows import StepRows
from gradcube_metrics.controls import Controls
from gradcube_metrics.decode import reduce_steps
from gradcube_metrics.descriptions import Descriptions
from gradcube_metrics.diagnosing import Detectors, JobDiagnoses
from gradcube_metrics.following import Following

STEPS = 60


class Listener(Detector):
    """Remembers all that it is told."""

    name = "listener"
    kinds = frozenset({"HANG"})
    Settings = HangSettings
    told: list[tuple[str, Any]] = []  # noqa: RUF012 - one for all attempts, so that a test sees them side by side

    def observe(self, frame: StepFrame) -> list[Finding]:
        self.told.append(("step", (frame.attempt, frame.step)))
        return []

    def observe_resources(self, rows: Any) -> list[Finding]:
        self.told.append(("samples", len(rows)))
        return []

    def observe_lifecycle(self, event: Any) -> list[Finding]:
        self.told.append((event["kind"], event["attempt"]))
        return []


def rows_of(steps: range, attempt: int = 0, slow: dict[int, float] | None = None) -> StepRows:
    records = [
        step_record("a", rank, step, offset=4 * step + rank, slow=(slow or {}).get(rank, 1.0))
        for step in steps
        for rank in range(4)
    ]
    [partial] = reduce_steps(records, 0).partials
    rows = partial.rows
    return StepRows(**{**vars(rows), "attempt": rows.attempt + attempt})


def event(kind: str, attempt: int = 0, rank: int | None = None) -> dict[str, Any]:
    return {
        "job": "a", "attempt": attempt, "kind": kind, "at": START, "epoch": 1, "rank": rank, "node": None,
        "shard": None, "step": None, "detail": "", "model": "", "model_parameters": 0, "hardware": "", "dataset": "",
        "world_size": 4, "grad_clip_norm": None, "own_grad_clip_norm": None,
    }  # fmt: skip


def at(step: int) -> int:
    return START + step * MICROS


def listening() -> JobDiagnoses:
    Listener.told.clear()
    return JobDiagnoses("a", Detectors((Listener,)), [])


def diagnosed(known: tuple[type[Detector], ...] = DETECTORS, earlier: list[Finding] | None = None) -> JobDiagnoses:
    diagnoses = JobDiagnoses("a", Detectors(known), earlier or [])
    diagnoses.configure({})
    return diagnoses


def test_lifecycle_records_reach_the_detectors_of_their_attempt_once_also_those_before_its_first_step() -> None:
    diagnoses = listening()
    diagnoses.configure({})
    diagnoses.add_lifecycle([event("JOB_STARTED")])
    diagnoses.add(rows_of(range(1)))
    diagnoses.add_lifecycle([event("RANK_LOST", rank=2)])
    assert Listener.told == [("JOB_STARTED", 0), ("RANK_LOST", 0)]


def test_a_later_attempt_ends_the_one_before_by_its_steps_alone() -> None:
    diagnoses = listening()
    diagnoses.configure({})
    diagnoses.add(rows_of(range(2)))
    diagnoses.add(rows_of(range(2), attempt=1))
    diagnoses.add(rows_of(range(2), attempt=1))
    assert Listener.told == [("JOB_FINISHED", 0)]


def test_resource_samples_are_told_once_whatever_is_sent_again() -> None:
    diagnoses = listening()
    diagnoses.configure({})
    diagnoses.add(rows_of(range(1)))
    samples = make_resources([1.0, 2.0, 3.0], rank=1)
    diagnoses.add_resources(samples.take(samples.offset < 2), ("gradcube.resources", 0))
    diagnoses.add_resources(samples, ("gradcube.resources", 0))
    assert Listener.told == [("samples", 2), ("samples", 1)]


def test_a_switch_takes_effect_while_the_job_runs_and_for_later_attempts() -> None:
    diagnoses = diagnosed()
    slow = {2: 2.0}
    assert diagnoses.add(rows_of(range(40))) + diagnoses.advance(at(0)) == []
    diagnoses.configure({"straggler.enabled": "false"})
    for attempt in (0, 1):
        found = diagnoses.add(rows_of(range(40, 80), attempt, slow)) + diagnoses.advance(at(80))
        assert [each for each in found if each.kind == "STRAGGLER"] == []


def test_a_detector_of_ones_own_that_fails_leaves_the_others_alone() -> None:
    diagnoses = diagnosed((*DETECTORS, Ill))
    found = diagnoses.add(rows_of(range(50))) + diagnoses.advance(at(0))
    found += diagnoses.add(rows_of(range(50, 90), slow={2: 2.0})) + diagnoses.advance(at(90))
    assert [each.state for each in found if each.kind == "OTHER"] == ["CLOSED"]
    assert [each.subject.rank for each in found if each.kind == "STRAGGLER"] == [2]
    again = diagnosed((*DETECTORS, Ill), found)
    repeated = again.add(rows_of(range(50))) + again.advance(at(0))
    assert repeated == [], "what is written is not said again"


def test_two_attempts_at_once_are_diagnosed_side_by_side() -> None:
    diagnoses = listening()
    diagnoses.configure({})
    for step in range(3):
        for attempt in (0, 1):
            diagnoses.add(rows_of(range(step, step + 1), attempt))
        diagnoses.advance(at(step))
    steps = [told for kind, told in Listener.told if kind == "step"]
    assert sorted(steps) == [(attempt, step) for attempt in (0, 1) for step in range(3)]


def test_events_are_numbered_so_that_each_is_taken_once() -> None:
    descriptions = Descriptions()
    for kind in ("JOB_STARTED", "RANK_LOST"):
        descriptions.learn(event(kind))
    descriptions.learn({**event("OTHER"), "job": "b"})
    first = descriptions.events_after("a", 0)
    assert [each["kind"] for _, each in first] == ["JOB_STARTED", "RANK_LOST"]
    descriptions.learn(event("JOB_FINISHED"))
    assert [each["kind"] for _, each in descriptions.events_after("a", first[-1][0])] == ["JOB_FINISHED"]
    assert descriptions.events_after("nobody", 0) == []


def test_an_unreadable_command_is_passed_over() -> None:
    controls = Controls(DETECTORS)
    following = Following({("gradcube.control", "Command"): controls.learn})
    following.learn(SimpleNamespace(topic="gradcube.control", value=b"\x00nonsense", offset=3))
    following.learn(SimpleNamespace(topic="gradcube.control", value=None, offset=4))
    assert controls.status() == {"thresholds": {}, "commands": []}
