from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.unit.diagnosis.simulating import START, frames_of
from tests.unit.windows.making import SECOND, make_resources

from gradcube.diagnosis import Diagnosis, Finding, StepFrame, Waiting
from gradcube.diagnosis.hangs.hang import HangDetector, HangSettings

STEP_MICROS = 150_000
SILENT = Waiting(None, set(), set(), -1, 0)


def steps(count: int, ranks: int = 4, first: int = 0, pause_micros: int = 0) -> list[StepFrame]:
    """Frames of a healthy job, a step every 150 ms."""
    frames = frames_of(np.full((count, ranks), 0.1), first_step=first)
    return [
        replace(frame, at_micros=START + (first + at) * STEP_MICROS + pause_micros) for at, frame in enumerate(frames)
    ]


def lifecycle(kind: str, rank: int | None = None, *, at_micros: int = START, world_size: int = 4) -> dict[str, Any]:
    return {
        "job": "bert", "attempt": 0, "kind": kind, "at": at_micros, "rank": rank, "node": rank and f"node-{rank}",
        "detail": "as the test says", "world_size": world_size,
    }  # fmt: skip


def watched(frames: Sequence[StepFrame], *, announced: bool = True) -> HangDetector:
    detector = HangDetector()
    if announced:
        assert detector.observe_lifecycle(lifecycle("JOB_STARTED")) == []
    assert [found for frame in frames for found in detector.observe(frame)] == []
    return detector


def after(detector: HangDetector, seconds: float, waiting: Waiting = SILENT) -> list[Finding]:
    last = detector._last
    assert last is not None
    return detector.pass_time(last.at_micros + round(seconds * SECOND), waiting)


def without(frame: StepFrame, rank: int) -> StepFrame:
    kept = frame.rank != rank
    arrays = {name: value[kept] for name, value in vars(frame).items() if isinstance(value, np.ndarray)}
    return replace(frame, **arrays)


def test_silence_of_a_running_job_is_a_hang_once_it_is_unusually_long() -> None:
    detector = watched(steps(100))
    assert after(detector, 119) == []
    [found] = after(detector, 121)
    assert (found.kind, found.state, found.onset_step, found.end_step) == ("HANG", "OPENED", 100, None)
    assert found.detected_at_micros - found.onset_at_micros == 120 * SECOND, "whenever somebody happened to look"
    assert "--flight-recorder" in found.verdict
    assert after(detector, 500) == [], "said once"


def test_a_lost_lease_names_the_rank() -> None:
    detector = watched(steps(100))
    detector.observe_lifecycle(lifecycle("RANK_LOST", 2))
    [found] = after(detector, 121)
    assert found.subject.rank == 2
    assert "rank 2 on node-2 lost its lease" in found.verdict


def test_the_rank_that_did_not_report_the_last_step_is_named_though_nobody_announced_the_job() -> None:
    *frames, last = steps(100)
    detector = watched([*frames, without(last, 3)], announced=False)
    [found] = after(detector, 121)
    assert (found.subject.rank, found.subject.node) == (3, "node-3")
    assert "rank 3 on node-3 did not report" in found.verdict


def test_ranks_whose_record_of_the_pending_step_is_not_there_are_named() -> None:
    detector = watched(steps(100), announced=False)
    pending = Waiting(100, {0, 3}, {0, 1, 2, 3}, 99, 0)
    [found] = after(detector, 121, pending)
    assert "ranks 1, 2" in found.verdict
    assert found.subject.rank is None


def test_silence_of_a_job_that_nobody_knows_to_run_may_be_its_end() -> None:
    assert after(watched(steps(100), announced=False), 4000) == []


def test_ranks_that_still_send_samples_have_not_ended() -> None:
    frames = steps(100)
    detector = watched(frames, announced=False)
    silence = (frames[-1].at_micros - 1_800_000_000_000_000) / 1e6 + 100
    detector.observe_resources(make_resources([silence], rank=1))
    assert [found.state for found in after(detector, 121)] == ["OPENED"]


@pytest.mark.parametrize(
    "events",
    [
        [lifecycle("JOB_FINISHED")],
        [lifecycle("RANK_LEFT", rank, world_size=3 - rank) for rank in range(4)],
        [lifecycle("RANK_LOST", 1), lifecycle("JOB_FINISHED")],
    ],
)
def test_a_job_that_has_ended_does_not_hang(events: list[dict[str, Any]]) -> None:
    detector = watched(steps(100))
    for event in events:
        assert detector.observe_lifecycle(event) == []
    assert after(detector, 4000) == []


def test_a_later_attempt_ends_the_hang_of_the_one_before() -> None:
    detector = HangDetector()
    diagnosis = Diagnosis("bert", 0, [detector])
    diagnosis.add_lifecycle(lifecycle("JOB_STARTED"))
    for frame in steps(100):
        detector.observe(frame)
    assert diagnosis.advance(START + 3600 * SECOND)[0].state == "OPENED"
    started = lifecycle("OTHER", at_micros=START + 4000 * SECOND) | {"attempt": 1}
    [closed] = diagnosis.add_lifecycle(started)
    assert (closed.state, closed.end_step) == ("CLOSED", 100)
    assert "attempt 1 took over" in closed.verdict
    assert diagnosis.advance(START + 9000 * SECOND) == []


def test_a_step_ends_the_hang_under_the_same_id() -> None:
    detector = watched(steps(100))
    [opened] = after(detector, 300)
    [closed] = detector.observe(steps(1, first=100, pause_micros=400 * SECOND)[0])
    assert (closed.id, closed.state, closed.end_step) == (opened.id, "CLOSED", 100)
    assert "6 min 40 s" in closed.verdict


def test_a_pause_that_the_job_came_back_from_is_usual_later() -> None:
    pause = 100 * SECOND
    detector = watched([*steps(100), *steps(100, first=100, pause_micros=pause)])
    assert after(detector, 190) == []
    assert [found.state for found in after(detector, 210)] == ["OPENED"]


def test_pauses_are_learnt_up_to_a_bound_only() -> None:
    detector = watched([*steps(100), *steps(100, first=100, pause_micros=5000 * SECOND)])
    assert [found.state for found in after(detector, 601)] == ["OPENED"]


def test_slow_steps_are_not_a_hang() -> None:
    frames = [replace(frame, at_micros=START + at * 100 * SECOND) for at, frame in enumerate(steps(30))]
    detector = watched(frames)
    assert after(detector, 900) == []
    assert [found.state for found in after(detector, 1001)] == ["OPENED"]


def test_a_job_that_has_hardly_begun_has_more_time() -> None:
    detector = watched(steps(3))
    assert after(detector, 590) == []
    assert [found.state for found in after(detector, 601)] == ["OPENED"]


def test_a_lease_that_ends_during_the_hang_says_who_it_is() -> None:
    detector = watched(steps(100))
    [opened] = after(detector, 121)
    [updated] = detector.observe_lifecycle(lifecycle("RANK_LOST", 1, at_micros=START + 300 * SECOND))
    assert (updated.id, updated.state) == (opened.id, "UPDATED")
    assert "rank 1" in updated.verdict
    assert updated.magnitude > opened.magnitude


def test_a_restart_of_the_service_goes_on_with_the_hang() -> None:
    [opened] = after(watched(steps(100)), 121)
    restarted = HangDetector()
    restarted.restore([opened])
    assert [found for frame in steps(100) for found in restarted.observe(frame)] == []
    assert after(restarted, 700) == []
    [closed] = restarted.observe(steps(1, first=100, pause_micros=400 * SECOND)[0])
    assert closed.id == opened.id


def test_limits_can_be_changed_while_it_runs() -> None:
    detector = watched(steps(100))
    detector.configure(HangSettings(min_seconds=10))
    assert [found.state for found in after(detector, 11)] == ["OPENED"]


def test_a_rank_that_left_long_ago_while_the_others_went_on_is_not_blamed() -> None:
    frames = [without(frame, 3) if frame.step >= 50 else frame for frame in steps(100)]
    [found] = after(watched(frames), 121)
    assert found.subject.rank is None
