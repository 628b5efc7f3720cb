import pytest

from gradcube_trainer.schedule import learning_rate


def test_it_warms_up_to_the_peak_and_decays_towards_zero() -> None:
    rates = [learning_rate(step, peak=1.0, warmup_steps=4, steps=10) for step in range(10)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])


@pytest.mark.parametrize(("warmup_steps", "steps"), [(0, 1), (5, 5), (100, 3)])
def test_it_is_positive_and_at_most_the_peak_however_few_the_steps(warmup_steps: int, steps: int) -> None:
    rates = [learning_rate(step, peak=0.5, warmup_steps=warmup_steps, steps=steps) for step in range(steps)]
    assert all(0 < rate <= 0.5 for rate in rates)
