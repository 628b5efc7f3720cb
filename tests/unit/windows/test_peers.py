import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gradcube.windows.peers import peer_median, peer_ratio

values = st.lists(st.tuples(st.floats(0.01, 100) | st.just(float("nan")), st.integers(0, 2)), max_size=25)


@given(values)
def test_median_of_the_others_is_that_of_the_others(table: list[tuple[float, int]]) -> None:
    times = np.array([value for value, _ in table], float)
    stages = np.array([stage for _, stage in table], int)
    found = peer_median(times, stages)
    for own in range(len(times)):
        others = [t for at, t in enumerate(times) if at != own and stages[at] == stages[own] and np.isfinite(t)]
        if np.isfinite(times[own]) and len(others) >= 2:
            assert np.isclose(found[own], np.median(others))
        else:
            assert np.isnan(found[own])


def test_one_slow_rank_of_three_does_not_hide() -> None:
    assert peer_ratio(np.array([1.0, 1.0, 2.0]), np.zeros(3, int))[2] == 2.0


def test_a_slow_stage_is_not_a_slow_rank() -> None:
    ratio = peer_ratio(np.array([1.0, 1.0, 1.0, 1.6, 1.6, 1.6]), np.array([0, 0, 0, 1, 1, 1]))
    assert ratio.tolist() == [1.0] * 6
