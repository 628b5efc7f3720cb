import math

import numpy as np
import pytest
from tests.unit.diagnosis.making import frame, states, watch

from gradcube.diagnosis import Finding
from gradcube.diagnosis.gradients.gradient_anomaly import GradientAnomalyDetector
from gradcube.windows.columns import FloatArray

RANKS, STEPS, ONSET, END, BAD = 8, 300, 150, 200, 5


def norms(seed: int, sigma: float = 0.15) -> FloatArray:
    """Gradient norms (steps, ranks) that a hard batch moves for all and that scatter; one in a hundred far out."""
    rng = np.random.default_rng(seed)
    shared = np.exp(rng.normal(0, 0.2, (STEPS, 1)))
    far = np.where(rng.random((STEPS, RANKS)) < 0.01, rng.exponential(0.5, (STEPS, RANKS)), 0.0)
    return 0.3 * shared * np.exp(rng.normal(0, sigma, (STEPS, RANKS)) + far)


def watch_norms(values: FloatArray, signal: str = "grad_norm") -> list[Finding]:
    return watch(GradientAnomalyDetector(), (frame(s, RANKS, **{signal: values[s]}) for s in range(len(values))))


@pytest.mark.parametrize("seed", range(4))
def test_a_healthy_job_has_none(seed: int) -> None:
    values = norms(seed)
    values[200] *= 50  # a bad batch of the whole job is not one rank's fault
    assert watch_norms(values) == []


@pytest.mark.parametrize("signal", ["grad_norm", "bucket_absmax"])
@pytest.mark.parametrize("factor", [6.0, 1 / 6.0])
def test_a_rank_that_leaves_its_peers_is_named_from_onset_to_end(factor: float, signal: str) -> None:
    values = norms(1)
    values[ONSET:END, BAD] *= factor
    findings = watch_norms(values, signal)
    assert [state for state in states(findings) if state != "UPDATED"] == ["OPENED", "CLOSED"]
    assert {f.subject.rank for f in findings} == {BAD}
    assert ONSET <= findings[0].onset_step <= findings[0].detected_step <= ONSET + 6
    assert END - 4 <= findings[-1].end_step <= END  # type: ignore[operator]
    assert findings[0].magnitude == pytest.approx(6.0, rel=0.5)


def test_a_flipped_exponent_bit_is_seen_in_its_one_step() -> None:
    values = norms(2)
    values[ONSET, BAD] *= 1e9
    findings = watch_norms(values)
    assert (states(findings), findings[0].detected_step, findings[0].subject.rank) == (["OPENED", "CLOSED"], ONSET, BAD)
    assert findings[1].end_step == ONSET


def test_a_rank_that_has_always_been_different_is_as_it_is() -> None:
    values = norms(3)
    values[:, BAD] *= 20
    assert watch_norms(values) == []


def test_a_reduced_gradient_which_is_the_same_for_all_says_nothing() -> None:
    assert watch_norms(np.repeat(norms(4)[:, :1], RANKS, axis=1)) == []


def test_one_rank_without_numbers_is_named_at_once_and_most_ranks_only_when_it_goes_on() -> None:
    def counts(step: int) -> list[int]:
        return [int(step == 20 and rank == BAD) * 7 + int(step in (40, 60, 61, 62)) for rank in range(RANKS)]

    steps = (frame(s, RANKS, nonfinite=counts(s), loss=2.0) for s in range(80))
    first, closed, many, over = watch(GradientAnomalyDetector(), steps)
    assert (first.subject.rank, first.detected_step, closed.state) == (BAD, 20, "CLOSED")
    assert (many.subject.rank, many.onset_step, many.detected_step, over.state) == (None, 60, 62, "CLOSED")


def test_a_loss_that_is_no_number_is_left_to_the_loss_detectors() -> None:
    losses = [math.nan, 2.0, 2.0, 2.0]
    steps = (frame(s, loss=losses if s == 50 else 2.0, nonfinite=[int(s == 50), 0, 0, 0]) for s in range(60))
    assert watch(GradientAnomalyDetector(), steps) == []


def test_a_restarted_process_goes_on_with_the_episode() -> None:
    values = norms(5)
    values[ONSET:END, BAD] *= 10
    before = watch_norms(values[: ONSET + 10])
    restarted = GradientAnomalyDetector()
    restarted.restore(before)
    after = watch(restarted, (frame(s, RANKS, grad_norm=values[s]) for s in range(ONSET + 10, STEPS)))
    assert (states(before), states(after)[-1], {f.id for f in after}) == (["OPENED"], "CLOSED", {before[0].id})
    assert END - 4 <= after[-1].end_step <= END  # type: ignore[operator]


def test_a_run_of_steps_ends_where_two_ranks_are_too_few_to_tell_who_is_wrong() -> None:
    def steps(lonely: int) -> list[Finding]:
        norm = [[0.3] * 4 + [3.0 if s >= 60 else 0.3] for s in range(64)]
        frames = (
            frame(s, [3, 4], grad_norm=norm[s][3:]) if s == lonely else frame(s, 5, grad_norm=norm[s])
            for s in range(64)
        )
        return watch(GradientAnomalyDetector(), frames)

    assert [found.detected_step for found in steps(lonely=0)] == [62]
    assert steps(lonely=62) == [], "two steps before it and one after it are no three in a row"
