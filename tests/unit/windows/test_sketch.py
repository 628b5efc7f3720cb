from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradcube.windows import LogSketch
from gradcube.windows.sketch import GREATEST, LEAST, RELATIVE_ERROR, bins_of, value_of

seconds = st.floats(LEAST * 2, GREATEST / 2)


def sketch_of(values: Sequence[float]) -> LogSketch:
    """One series, one column."""
    sketch = LogSketch(num_columns=1)
    sketch.add(np.zeros(len(values), int), np.array(values, float)[:, None])
    return sketch


@settings(deadline=None)
@given(st.lists(seconds, min_size=1, max_size=200), st.floats(0, 1))
def test_quantile_is_within_the_stated_error_of_a_true_sample(values: list[float], share: float) -> None:
    sketch = sketch_of(values)
    exact = np.quantile(values, share, method="lower")
    # numpy's rank for the same share may be one less or more by rounding: any sample next to it will do.
    near = sorted(values, key=lambda value: abs(np.log(value / exact)))[:3]
    found = sketch.quantile(share, num_series=1)[0, 0]
    assert any(abs(found - value) <= RELATIVE_ERROR * value * 1.0001 for value in near)


@settings(deadline=None)
@given(st.lists(seconds, min_size=1, max_size=50), st.lists(seconds, max_size=50))
def test_merged_sketches_equal_one_sketch_of_everything(left: list[float], right: list[float]) -> None:
    merged = sketch_of(left)
    merged.merge(sketch_of(right))
    for found, wanted in zip(merged.bins(), sketch_of(left + right).bins(), strict=True):
        np.testing.assert_array_equal(found, wanted)


samples = st.lists(st.tuples(st.integers(0, 4), seconds, st.floats(0, 50)), min_size=1, max_size=60)


@settings(deadline=None)
@given(samples, st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_every_series_and_column_has_the_quantile_of_its_own_samples(rows: list[Any], share: float) -> None:
    series, first, second = (np.array(column) for column in zip(*rows, strict=True))
    sketch = LogSketch(num_columns=2)
    for part in np.array_split(np.arange(len(series)), 3):
        sketch.add(series[part], np.stack([first, second], axis=1)[part])
    found = sketch.quantile(share, num_series=6)
    assert np.isnan(found[5]).all()
    for own in range(5):
        mine = [sketch_of(column[series == own]).quantile(share, 1)[0, 0] for column in (first, second)]
        np.testing.assert_array_equal(found[own], mine)


@settings(deadline=None)
@given(samples)
def test_a_group_has_the_bins_of_all_its_series_together(rows: list[Any]) -> None:
    series, first, _ = (np.array(column) for column in zip(*rows, strict=True))
    sketch = LogSketch(num_columns=1)
    sketch.add(series, first[:, None])
    grouped = sketch.grouped(np.array([1, 1, 0, -1, 0]))
    for group, members in ((0, [2, 4]), (1, [0, 1])):
        wanted = sketch_of(first[np.isin(series, members)]).quantile(0.5, 1)[0, 0]
        np.testing.assert_array_equal(grouped.quantile(0.5, 2)[group, 0], wanted)


def test_room_is_taken_by_distinct_values_only_however_many_there_are() -> None:
    sketch = LogSketch(num_columns=1)
    for _ in range(60):
        sketch.add(np.arange(20_000) % 100, np.full((20_000, 1), 0.25))
    keys, counts = sketch.bins()
    assert len(keys) == 100
    assert counts.tolist() == [12_000] * 100


@settings(deadline=None)
@given(seconds)
def test_a_bin_stands_for_its_values(value: float) -> None:
    assert value_of(bins_of(np.array([value])))[0] == pytest.approx(value, rel=RELATIVE_ERROR * 1.0001)


def test_zero_stays_zero_and_nothing_stays_nothing() -> None:
    sketch = LogSketch(num_columns=2)
    sketch.add(np.zeros(3, int), np.array([[0.0, np.nan], [0.0, np.inf], [0.0, -1.0]]))
    median = sketch.quantile(0.5, num_series=1)[0]
    assert median[0] == 0.0
    assert np.isnan(median[1])


def test_a_sketch_of_nothing_has_no_quantile() -> None:
    assert np.isnan(LogSketch(num_columns=2).quantile(0.5, num_series=3)).all()


def test_a_value_beyond_the_range_is_counted_in_the_last_bin() -> None:
    assert sketch_of([GREATEST * 1e6]).quantile(1.0, 1)[0, 0] >= GREATEST * 0.98


def test_a_share_outside_0_to_1_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got 1\.5"):
        LogSketch(1).quantile(1.5, 1)
