"""The noise floors and the theory that the benchmark holds delays against."""

import numpy as np
import pytest
from tests.bench.diagnosis.injections import Injection
from tests.bench.diagnosis.intervals import mean, rate
from tests.bench.diagnosis.noise import Noise, allowed, floors, least_delay
from tests.bench.diagnosis.simulated import Layout, simulate


@pytest.mark.parametrize(
    ("sigma", "ratio", "steps"), [(0.01, 1.03, 2.3), (0.01, 1.10, 0.0), (0.117, 1.05, 139), (0.117, 1.10, 41)]
)
def test_least_delays_are_those_of_the_literature(sigma: float, ratio: float, steps: float) -> None:
    assert least_delay(Noise(sigma, 0.0), ratio) == pytest.approx(steps, rel=0.2, abs=0.2)


def test_memory_of_the_noise_makes_it_slower() -> None:
    assert least_delay(Noise(0.017, 0.5), 1.05) > 2 * least_delay(Noise(0.017, 0.0), 1.05)


def test_what_the_ranks_of_a_replica_share_is_removed() -> None:
    run = simulate(Layout("variable lengths", 4, 8, 0.008, batch_noise=0.1), 3)
    found = floors(run)
    assert found.peers is not None
    assert found.alone is not None
    assert found.peers.sigma == pytest.approx(0.107, rel=0.15)
    assert found.alone.sigma < 0.02
    assert found.of("rank") == found.alone


def test_a_small_slow_down_in_much_noise_is_not_allowed() -> None:
    small, large = (Injection("rank", (0,), "step", ratio, 50, 100) for ratio in (1.03, 2.0))
    assert not allowed(small, Noise(0.117, 0.0))
    assert allowed(large, Noise(0.117, 0.0))


def test_intervals_hold_their_value() -> None:
    share, none = rate(99, 100), rate(0, 50)
    assert (round(share.low, 3), round(share.high, 3)) == (0.946, 0.998)
    assert (none.low, round(none.high, 3)) == (0.0, 0.071)
    middle = mean(np.random.default_rng(0).normal(2, 1, 200).tolist())
    assert middle.low < 2 < middle.high
    assert mean([]).text() == "-"
