"""Spikes of the shape of BLOOM-176B's first (bigscience chronicles), and healthy curves with heavy tails."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from tests.unit.diagnosis.making import frame, states, watch
from tests.unit.diagnosis.traces import trace_directory, trace_frames

from gradcube.diagnosis import Finding, StepFrame
from gradcube.diagnosis.loss.divergence import DivergenceDetector
from gradcube.diagnosis.loss.loss_spike import LossSpikeDetector
from gradcube.diagnosis.loss.spike_rules import LossSpikeSettings
from gradcube.windows.columns import FloatArray

LOSS = (1.010, 1.180, 1.019, 1.067, 2.318, 1.588, 1.461, 1.276)
GRADIENT = (3.91, 9.88, 65.6, 600.0, 3968.0, 1461.0, 1567.0, 2687.0)
PEAK = LOSS.index(max(LOSS))
ONSET, STEPS = 400, 480


def curve(sigma: float, seed: int, tail: float = 0.0, steps: int = STEPS) -> FloatArray:
    """A loss that falls from 8 to about 3; one step in a hundred lies far above."""
    rng = np.random.default_rng(seed)
    logs = np.log(3 + 5 * np.exp(-np.arange(steps) / 100)) + rng.normal(0, sigma, steps)
    far = np.where(rng.random(steps) < 0.01, rng.exponential(max(tail, 1e-9), steps), 0.0)
    return np.exp(logs + np.minimum(far, 0.35))


def gradient(sigma: float, seed: int, steps: int = STEPS) -> FloatArray:
    return 0.3 * np.exp(np.random.default_rng(seed + 1000).normal(0, sigma, steps))


def spiked(values: FloatArray, ratios: tuple[float, ...], onset: int = ONSET) -> FloatArray:
    back = np.exp(np.log(ratios[-1]) * np.exp(-np.arange(1, 29) / 8))
    factors = np.ones(len(values))
    factors[onset : onset + len(ratios) + 28] = [*ratios, *back]
    return values * factors


def frames(loss: FloatArray, gradients: FloatArray | None = None) -> Iterator[StepFrame]:
    for step in range(len(loss)):
        measured = {} if gradients is None else {"grad_norm": gradients[step]}
        yield frame(step, 1, loss=loss[step], **measured)


def opened(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.state == "OPENED"]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sigma", [0.005, 0.03])
def test_a_spike_is_told_three_steps_before_its_peak_by_the_gradient(seed: int, sigma: float) -> None:
    loss, gradients = spiked(curve(sigma, seed), LOSS), spiked(gradient(0.2, seed), GRADIENT)
    findings = watch(LossSpikeDetector(), frames(loss, gradients))
    assert states(findings) == ["OPENED", "CLOSED"]
    assert ONSET <= findings[0].onset_step <= findings[0].detected_step <= ONSET + PEAK - 3
    assert ONSET + PEAK + 3 < findings[1].end_step < ONSET + 40  # type: ignore[operator]
    assert findings[1].magnitude == pytest.approx(max(LOSS), rel=0.15)
    assert findings[0].id == findings[1].id


@pytest.mark.parametrize("seed", range(4))
def test_loss_alone_tells_it_where_its_noise_allows(seed: int) -> None:
    first, *others = opened(watch(LossSpikeDetector(), frames(spiked(curve(0.005, seed), LOSS))))
    assert (first.detected_step, others) == (ONSET + 1, [])


def test_loss_alone_tells_it_at_the_peak_where_healthy_steps_lie_as_far_out() -> None:
    first, *others = opened(watch(LossSpikeDetector(), frames(spiked(curve(0.026, 0, tail=0.1), LOSS))))
    assert (first.detected_step, others) == (ONSET + PEAK, [])


@pytest.mark.parametrize("seed", range(4))
def test_heavy_tails_of_single_steps_are_healthy(seed: int) -> None:
    loss = curve(0.026, seed, tail=0.1, steps=1000)
    assert watch(LossSpikeDetector(), frames(loss, gradient(0.3, seed, 1000))) == []


def test_a_spike_that_does_not_come_back_becomes_a_divergence() -> None:
    loss = curve(0.01, 1, steps=STEPS + 60)
    loss[ONSET:] *= 1.6
    spike, divergence = LossSpikeDetector(), DivergenceDetector()
    findings = [found for each in frames(loss) for found in spike.observe(each) + divergence.observe(each)]
    assert [(f.kind, f.state) for f in findings[:3]] == [
        ("LOSS_SPIKE", "OPENED"), ("LOSS_SPIKE", "CLOSED"), ("DIVERGENCE", "OPENED"),
    ]  # fmt: skip
    assert findings[1].end_step == findings[2].detected_step
    assert {f.kind for f in findings[3:]} == {"DIVERGENCE"}


def test_a_rank_whose_loss_is_no_number_is_named_at_once() -> None:
    def losses(step: int) -> list[float]:
        return [3.0, 3.1, math.nan if 100 <= step < 103 else 3.0, 2.9]

    findings = watch(LossSpikeDetector(), (frame(step, loss=losses(step)) for step in range(130)))
    assert states(findings) == ["OPENED", "CLOSED"]
    assert (findings[0].subject.rank, findings[0].detected_step, findings[1].end_step) == (2, 100, 102)


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_job_whose_loss_is_no_number_is_told_at_once(value: float) -> None:
    bad = {100: {"loss": value, "nonfinite": 1}}
    steps = (frame(step, **bad.get(step, {"loss": 3.0, "nonfinite": 0})) for step in range(120))
    findings = watch(LossSpikeDetector(), steps)
    assert states(findings) == ["OPENED", "CLOSED"]
    assert findings[0].detected_step == 100
    assert findings[0].subject.rank is None


def test_a_loss_that_is_not_measured_in_every_step_is_nothing() -> None:
    loss = curve(0.02, 3)
    loss[::7] = math.nan
    assert watch(LossSpikeDetector(), frames(loss)) == []
    assert watch(LossSpikeDetector(), (frame(step) for step in range(200))) == []


def test_a_change_of_batch_size_is_no_spike() -> None:
    loss = curve(0.005, 2)
    loss[ONSET:] *= 1.3
    steps = (frame(s, 1, loss=loss[s], batch_size=64 if s < ONSET else 16) for s in range(STEPS))
    assert watch(LossSpikeDetector(), steps) == []


def test_one_wrong_rank_does_not_move_the_job() -> None:
    loss = curve(0.005, 4)
    steps = (frame(s, loss=[loss[s], 80.0 if s == ONSET else loss[s], loss[s], loss[s]]) for s in range(STEPS))
    assert watch(LossSpikeDetector(), steps) == []


def test_a_restarted_process_goes_on_with_the_spike_and_closes_it() -> None:
    loss, gradients = spiked(curve(0.01, 5), LOSS), spiked(gradient(0.1, 5), GRADIENT)
    every = list(frames(loss, gradients))
    before = watch(LossSpikeDetector(), every[: ONSET + 4])
    restarted = LossSpikeDetector()
    restarted.restore(before)
    after = watch(restarted, every[ONSET - 2 :])
    assert (states(before), states(after)) == (["OPENED"], ["CLOSED"])
    assert after[0].id == before[0].id
    assert after[0].end_step > ONSET + PEAK  # type: ignore[operator]


def test_thresholds_can_be_changed() -> None:
    blunt = LossSpikeSettings(single_min_ratio=3.0, pair_min_ratio=3.0)
    assert watch(LossSpikeDetector(blunt), frames(spiked(curve(0.005, 1), LOSS))) == []


def test_blooms_own_spike_is_told_three_steps_before_its_peak() -> None:
    findings = watch(LossSpikeDetector(), trace_frames(trace_directory() / "bloom_spike.parquet", "bloom"))
    assert findings[0].detected_step <= 31219 - 3


def test_healthy_public_curves_are_quiet() -> None:
    directory = trace_directory()
    paths = [*sorted((directory / "mlperf_405b").glob("*"))[:2], sorted((directory / "nanogpt_loss").glob("*"))[-1]]
    assert {p.stem: watch(LossSpikeDetector(), trace_frames(p, p.stem)) for p in paths} == {p.stem: [] for p in paths}
