import numpy as np
import pytest
from tests.unit.diagnosis.making import frame, states, watch

from gradcube.diagnosis.loss.divergence import DivergenceDetector, DivergenceSettings
from gradcube.windows.columns import FloatArray

ONSET, STEPS = 600, 800


def losses(sigma: float, seed: int, factors: FloatArray | float = 1.0) -> FloatArray:
    noise = np.random.default_rng(seed).normal(0, sigma, STEPS)
    return (6 + 4 * np.exp(-np.arange(STEPS) / 100)) * np.exp(noise) * factors


def watch_loss(loss: FloatArray, settings: DivergenceSettings | None = None) -> list:  # type: ignore[type-arg]
    return watch(DivergenceDetector(settings), (frame(step, loss=loss[step]) for step in range(len(loss))))


def ramp(to: float, steps: int) -> FloatArray:
    """tr8-104B: from 6.37 to 10.2 within 50 steps."""
    return np.interp(np.arange(STEPS), [ONSET, ONSET + steps], [1.0, to])


@pytest.mark.parametrize("seed", range(4))
def test_a_loss_that_rises_and_stays_is_told_within_sixty_steps(seed: int) -> None:
    findings = watch_loss(losses(0.01, seed, ramp(1.6, 50)))
    assert findings[0].state == "OPENED"
    assert ONSET < findings[0].onset_step < findings[0].detected_step <= ONSET + 60
    assert findings[-1].magnitude == pytest.approx(1.6, rel=0.1)
    assert len({f.id for f in findings}) == 1


def test_a_spike_of_thirty_steps_is_none() -> None:
    factors = np.ones(STEPS)
    factors[ONSET : ONSET + 30] = 2.0
    assert watch_loss(losses(0.01, 0, factors)) == []


def test_a_loss_that_comes_back_closes_the_episode() -> None:
    factors = np.ones(STEPS)
    factors[ONSET : ONSET + 80] = 1.5
    findings = watch_loss(losses(0.01, 0, factors))
    assert [state for state in states(findings) if state != "UPDATED"] == ["OPENED", "CLOSED"]
    assert findings[-1].end_step == ONSET + 79


def test_noise_and_a_slow_fall_are_none() -> None:
    assert watch_loss(losses(0.06, 1)) == []
    assert watch_loss(losses(0.01, 1, ramp(1.05, 50))) == []


def test_the_least_rise_is_a_setting() -> None:
    assert watch_loss(losses(0.005, 1, ramp(1.05, 5)), DivergenceSettings(min_ratio=1.03))


def test_a_job_without_a_loss_is_silent() -> None:
    assert watch(DivergenceDetector(), (frame(step) for step in range(200))) == []
