import pytest
from tests.unit.diagnosis.making import frame, states, watch
from tests.unit.diagnosis.traces import trace_directory, trace_frames

from gradcube.diagnosis.gaps.monitor_gap import MonitorGapDetector

ALL = [0, 1, 2, 3]


def without(ranks: set[int]) -> list[int]:
    return [rank for rank in ALL if rank not in ranks]


def test_a_whole_record_of_a_run_has_no_gap() -> None:
    assert watch(MonitorGapDetector(), (frame(step) for step in range(200))) == []


def test_a_recording_of_every_tenth_step_has_lost_nothing() -> None:
    assert watch(MonitorGapDetector(), (frame(step) for step in range(0, 2000, 10))) == []


def test_dropped_records_are_counted_and_the_rank_is_named() -> None:
    steps = (frame(s, dropped=[0, 0, 3 * (s in (20, 30)), 0]) for s in range(100))
    findings = watch(MonitorGapDetector(), steps)
    assert states(findings) == ["OPENED", "CLOSED"]
    assert (findings[0].subject.rank, findings[0].detected_step) == (2, 20)
    assert (findings[1].end_step, findings[1].magnitude) == (30, 6.0)


def test_records_that_a_rank_counted_and_nobody_got_are_lost() -> None:
    steps = (frame(s, seq=[s, s + 2 * (s >= 20), s, s]) for s in range(100))
    findings = watch(MonitorGapDetector(), steps)
    assert [(f.subject.rank, f.magnitude) for f in findings] == [(1, 2.0), (1, 2.0)]


def test_records_that_are_missing_from_a_few_steps_are_lost_and_a_single_one_is_nothing() -> None:
    def lossy(steps: set[int]) -> list[tuple[str, int | None, float]]:
        frames = (frame(s, without({3} if s in steps else set())) for s in range(120))
        return [(f.state, f.subject.rank, f.magnitude) for f in watch(MonitorGapDetector(), frames)]

    assert lossy({20}) == []
    assert lossy({20, 25, 28}) == [("OPENED", 3, 3.0), ("CLOSED", 3, 3.0)]


def test_a_monitor_that_starts_anew_has_lost_nothing() -> None:
    assert watch(MonitorGapDetector(), (frame(s, seq=[s, s, s, s % 50]) for s in range(100))) == []


@pytest.mark.parametrize(("gone", "rank", "node"), [({2}, 2, "node-1"), ({2, 3}, None, "node-1"), ({1, 2}, None, None)])
def test_ranks_that_fall_silent_while_others_go_on_are_one_finding(
    gone: set[int], rank: int | None, node: str | None
) -> None:
    steps = (frame(s, without(gone if 20 <= s < 40 else set())) for s in range(45))
    findings = [f for f in watch(MonitorGapDetector(), steps) if f.evidence[0].signal == "silent_ranks"]
    assert states(findings) == ["OPENED", "CLOSED"]
    assert (findings[0].subject.rank, findings[0].subject.node) == (rank, node)
    assert (findings[0].onset_step, findings[0].detected_step, findings[1].end_step) == (20, 24, 39)


def test_a_job_that_has_become_smaller_is_not_waited_for_for_ever() -> None:
    steps = (frame(s, without({3} if s >= 20 else set())) for s in range(1200))
    assert states(watch(MonitorGapDetector(), steps)) == ["OPENED", "CLOSED"]


def test_a_restarted_process_closes_what_was_open() -> None:
    before = watch(MonitorGapDetector(), (frame(s, without({3} if s >= 20 else set())) for s in range(30)))
    restarted = MonitorGapDetector()
    restarted.restore(before)
    after = watch(restarted, (frame(s, without({3} if s < 50 else set())) for s in range(30, 60)))
    assert (states(after), after[0].id, after[0].end_step) == (["CLOSED"], before[0].id, 49)


@pytest.mark.parametrize("name", ["bytedance_AR", "alibaba_job_1"])
def test_public_traces_have_no_gap(name: str) -> None:
    assert watch(MonitorGapDetector(), trace_frames(trace_directory() / f"{name}.parquet", name)) == []
