"""The numbers behind the page."""

import numpy as np
import pytest
from tests.unit.report.making import slow, trace

from gradcube.diagnosis.findings import Subject
from gradcube.report.grid import make_grid, others_median
from gradcube.report.heat import Bins, quantise, shrink, span_of
from gradcube.report.series import quantiles
from gradcube.windows.peers import peer_median

NOBODY = np.array([], np.int64)


@pytest.mark.parametrize("seed", range(8))
def test_median_of_the_others_is_that_of_the_live_service(seed: int) -> None:
    draw = np.random.default_rng(seed)
    block = draw.lognormal(size=(draw.integers(1, 9), 30))
    block[draw.random(block.shape) < 0.3] = np.nan
    expected = np.stack([peer_median(column, np.zeros(len(column))) for column in block.T], axis=1)
    np.testing.assert_allclose(others_median(block), expected)


def test_slow_rank_stands_out_of_its_stage_by_its_factor() -> None:
    grid = make_grid(slow(trace(16, 40), 3, 20, 29, 1.5))
    assert not grid.own
    assert np.median(grid.ratio[3, 20:30]) == pytest.approx(1.5, rel=0.03)
    assert np.delete(grid.ratio, 3, axis=0).max() < 1.2
    assert grid.ratio[:, :20].max() < 1.2


def test_rows_in_any_order_and_gaps_keep_their_place() -> None:
    whole = trace(4, 10, stages=1)
    kept = np.flatnonzero((whole.rows.rank != 2) | (whole.rows.step != 5))
    grid = make_grid(type(whole)(whole.rows.take(kept), ()))
    assert grid.seconds.shape == (4, 10)
    assert np.argwhere(~np.isfinite(grid.seconds)).tolist() == [[2, 5]]


def test_trace_without_peers_is_compared_with_itself() -> None:
    grid = make_grid(slow(trace(2, 40), 1, 30, 35, 2.0))
    assert grid.own
    assert np.median(grid.ratio[1, 30:36]) == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize(
    ("subject", "ranks"),
    [
        (Subject(rank=3, node="elsewhere"), [3]), (Subject(node="node-1"), list(range(8, 16))),
        (Subject(stage=1), list(range(8, 16))), (Subject(stage=0, replica=2), [2]), (Subject(), []),
        (Subject(rank=99), []), (Subject(shard=1), []),
    ],
)  # fmt: skip
def test_members_are_the_ranks_that_a_finding_is_about(subject: Subject, ranks: list[int]) -> None:
    grid = make_grid(trace(16, 3))
    assert np.flatnonzero(grid.members(subject)).tolist() == ranks


def test_one_byte_keeps_a_ratio_within_half_a_step_of_the_scale() -> None:
    ratio = np.array([0.5, 1.0, 1.04, 1.49, 7.0, np.nan], np.float32)
    level = quantise(ratio, 2.0)
    assert level.tolist()[1] == 128
    assert level[-1] == 0
    back = 2.0 ** ((level[:-1].astype(float) - 128) / 127)
    np.testing.assert_allclose(back, [0.5, 1.0, 1.04, 1.49, 2.0], rtol=0.003)


def test_bin_holds_its_highest_ratio_and_an_empty_one_none() -> None:
    ratio = np.ones((5, 7), np.float32)
    ratio[4, 6], ratio[0, :2] = 1.8, np.nan
    small = shrink(ratio, Bins(2, 2))
    assert small.shape == (3, 4)
    assert small[2, 3] == pytest.approx(1.8)
    assert np.isnan(shrink(ratio, Bins(1, 2))[0, 0])


def test_colour_scale_reaches_one_slow_rank_of_thousands_only_when_it_is_marked() -> None:
    ratio = np.ones((2000, 10), np.float32)
    ratio[7, 9] = 2.5
    assert span_of(ratio, NOBODY) == pytest.approx(1.2)
    ratio[7] = 2.5
    assert span_of(ratio, np.array([7])) == pytest.approx(2.5)


def test_quantiles_are_exact_and_leave_gaps_out() -> None:
    draw = np.random.default_rng(1)
    cells = draw.random((9, 20)).astype(np.float32)
    cells[draw.random(cells.shape) < 0.2] = np.nan
    cells[:, 4] = np.nan
    for share, found in zip((0.1, 0.5, 0.9), quantiles(cells, (0.1, 0.5, 0.9)), strict=True):
        for step in range(20):
            own = cells[np.isfinite(cells[:, step]), step]
            expected = np.quantile(own, share) if len(own) else np.nan
            np.testing.assert_allclose(found[step], expected, rtol=1e-5)
