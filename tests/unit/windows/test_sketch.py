import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcube.windows import LogSketch
from gradcube.windows.sketch import GREATEST, LEAST, RELATIVE_ERROR, bins_of, value_of

seconds = st.floats(LEAST * 2, GREATEST / 2)


@given(st.lists(seconds, min_size=1, max_size=200), st.floats(0, 1))
def test_quantile_is_within_the_stated_error_of_a_true_sample(values: list[float], share: float) -> None:
    sketch = LogSketch()
    sketch.add(np.array(values))
    exact = np.quantile(values, share, method="lower")
    # numpy's rank for the same share may be one less or more by rounding: any sample next to it will do.
    near = sorted(values, key=lambda value: abs(np.log(value / exact)))[:3]
    found = sketch.quantile(share)[0]
    assert any(abs(found - value) <= RELATIVE_ERROR * value * 1.0001 for value in near)


@given(st.lists(seconds, min_size=1, max_size=50), st.lists(seconds, max_size=50))
def test_merged_sketches_equal_one_sketch_of_everything(left: list[float], right: list[float]) -> None:
    parts, whole = [LogSketch(), LogSketch()], LogSketch()
    parts[0].add(np.array(left))
    parts[1].add(np.array(right))
    whole.add(np.array(left + right))
    parts[0].merge(parts[1])
    assert (parts[0].counts == whole.counts).all()


@given(seconds)
def test_a_bin_stands_for_its_values(value: float) -> None:
    assert value_of(bins_of(np.array([value])))[0] == pytest.approx(value, rel=RELATIVE_ERROR * 1.0001)


def test_zero_stays_zero_and_nothing_stays_nothing() -> None:
    sketch = LogSketch(rows=2)
    sketch.add(np.array([[0.0, np.nan], [0.0, np.inf], [0.0, -1.0]]))
    median = sketch.quantile(0.5)
    assert median[0] == 0.0
    assert np.isnan(median[1])


def test_a_value_beyond_the_range_is_counted_in_the_last_bin() -> None:
    sketch = LogSketch()
    sketch.add(np.array([GREATEST * 1e6]))
    assert sketch.counts.sum() == 1
    assert sketch.quantile(1.0)[0] >= GREATEST * 0.98


def test_a_share_outside_0_to_1_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got 1\.5"):
        LogSketch().quantile(1.5)
