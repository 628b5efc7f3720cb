import numpy as np
from tests.unit.diagnosis.making import frame, states, watch

from gradcube.diagnosis import Finding
from gradcube.diagnosis.gradients.stale_gradients import StaleGradientsDetector
from gradcube.windows.columns import IntArray

RANKS, STEPS, ONSET, END, LATE = 8, 200, 100, 140, 3


def staleness(seed: int) -> IntArray:
    return np.random.default_rng(seed).integers(0, 4, (STEPS, RANKS))


def watch_staleness(values: IntArray) -> list[Finding]:
    return watch(StaleGradientsDetector(), (frame(s, RANKS, staleness=values[s]) for s in range(len(values))))


def test_a_healthy_asynchronous_job_has_none() -> None:
    values = staleness(0)
    values[::40, 2] += 12  # a late push now and then
    assert watch_staleness(values) == []


def test_a_rank_that_falls_behind_is_named_from_onset_to_end() -> None:
    values = staleness(1)
    values[ONSET:END, LATE] += 15
    findings = watch_staleness(values)
    assert [state for state in states(findings) if state != "UPDATED"] == ["OPENED", "CLOSED"]
    assert {f.subject.rank for f in findings} == {LATE}
    assert (findings[0].onset_step, findings[-1].end_step) == (ONSET, END - 1)
    assert findings[0].detected_step <= ONSET + 5


def test_a_job_whose_servers_fall_behind_is_told_as_a_whole() -> None:
    values = staleness(2)
    values[ONSET:END] += 10
    findings = watch_staleness(values)
    assert {(f.subject.rank, f.onset_step) for f in findings} == {(None, ONSET)}
    assert findings[-1].end_step == END - 1


def test_a_rank_that_has_always_been_late_is_as_it_is() -> None:
    values = staleness(3)
    values[:, LATE] += 30
    assert watch_staleness(values) == []


def test_a_synchronous_job_is_silent() -> None:
    assert watch(StaleGradientsDetector(), (frame(step) for step in range(100))) == []


def test_a_restarted_process_goes_on_with_the_episode() -> None:
    values = staleness(4)
    values[ONSET:END] += 10
    before = watch_staleness(values[: ONSET + 12])
    restarted = StaleGradientsDetector()
    restarted.restore(before)
    after = watch(restarted, (frame(s, RANKS, staleness=values[s]) for s in range(ONSET + 12, STEPS)))
    assert (states(before), states(after)) == (["OPENED"], ["CLOSED"])
    assert (after[0].id, after[0].end_step) == (before[0].id, END - 1)
