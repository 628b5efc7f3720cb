import numpy as np
import pytest
from tests.unit.diagnosis.making import frame, states, watch

from gradcube.diagnosis import Finding
from gradcube.diagnosis.slow.data_stall import DataStallDetector
from gradcube.windows.columns import FloatArray

RANKS, STEPS, ONSET, END = 4, 200, 100, 130
COMPUTE_SECONDS = 0.2


def data(seed: int) -> FloatArray:
    return 0.01 * np.exp(np.random.default_rng(seed).normal(0, 0.3, (STEPS, RANKS)))


def watch_data(seconds: FloatArray) -> list[Finding]:
    steps = (
        frame(s, RANKS, data_seconds=seconds[s], step_seconds=COMPUTE_SECONDS + seconds[s].max())
        for s in range(len(seconds))
    )
    return watch(DataStallDetector(), steps)


@pytest.mark.parametrize("seed", range(3))
def test_a_job_that_waits_for_data_is_told_from_onset_to_end(seed: int) -> None:
    seconds = data(seed)
    seconds[ONSET:END] *= 10
    findings = watch_data(seconds)
    assert states(findings) == ["OPENED", "CLOSED"]
    assert (findings[0].onset_step, findings[0].detected_step) == (ONSET, ONSET + 3)
    assert findings[1].end_step == END - 1
    assert findings[0].subject.rank is None


def test_the_end_of_an_epoch_and_cold_caches_are_none() -> None:
    seconds = data(1)
    seconds[:5] = 1.0
    seconds[60::60] = 2.0
    assert watch_data(seconds) == []


def test_one_rank_that_loads_slowly_is_no_stall_of_the_job() -> None:
    seconds = data(2)
    seconds[ONSET:, 1] *= 20
    assert watch_data(seconds) == []
    steps = (frame(s, 2, data_seconds=[0.01, 0.01 if s < ONSET else 0.3], step_seconds=0.5) for s in range(STEPS))
    assert watch(DataStallDetector(), steps) == []


def test_more_of_next_to_nothing_is_none() -> None:
    seconds = data(3) / 20
    seconds[ONSET:] *= 10
    assert watch_data(seconds) == []


def test_a_restarted_process_goes_on_with_the_episode() -> None:
    seconds = data(4)
    seconds[ONSET:END] *= 10
    before = watch_data(seconds[: ONSET + 6])
    restarted = DataStallDetector()
    restarted.restore(before)
    after = watch(restarted, (frame(s, RANKS, data_seconds=seconds[s], step_seconds=0.4) for s in range(ONSET, STEPS)))
    assert (states(before), states(after)) == (["OPENED"], ["CLOSED"])
    assert (after[0].id, after[0].end_step) == (before[0].id, END - 1)
