import math
import statistics
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcube.diagnosis.medians import SlidingMedian, median

numbers = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, 1.5])


@given(st.lists(numbers, min_size=1, max_size=60), st.integers(1, 12))
def test_a_sliding_median_is_that_of_the_last_numbers(values: list[float], size: int) -> None:
    sliding, last = SlidingMedian(size), deque[float](maxlen=size)
    for value in values:
        sliding.append(value)
        last.append(value)
        middle = statistics.median(last)
        assert sliding.value == middle == np.median(last)
        assert sliding.deviation == statistics.median(abs(each - middle) for each in last)
        assert sliding.count_above(1.0) == sum(each > 1.0 for each in last)
        assert len(sliding) == len(last)


def test_there_is_no_median_of_nothing_nor_while_a_number_is_missing() -> None:
    sliding = SlidingMedian(2)
    assert math.isnan(sliding.value)
    sliding.extend([1.0, math.nan])
    assert math.isnan(sliding.value)
    assert math.isnan(sliding.deviation)
    sliding.append(3.0)
    assert math.isnan(sliding.value), "it is still one of the last two"
    sliding.append(5.0)
    assert sliding.value == 4.0
    sliding.clear()
    assert (len(sliding), math.isnan(sliding.value)) == (0, True)


@given(st.lists(numbers | st.sampled_from([math.nan, math.inf]), max_size=20))
def test_a_median_leaves_out_what_is_not_finite(values: list[float]) -> None:
    finite = [value for value in values if math.isfinite(value)]
    expected = statistics.median(finite) if finite else math.nan
    assert median(np.array(values)) == pytest.approx(expected, nan_ok=True)
