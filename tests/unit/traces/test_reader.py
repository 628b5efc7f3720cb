"""What a tidy table becomes: rows as a live run's."""

from pathlib import Path

import numpy as np
import pytest
from tests.unit.traces.making import text, write

from gradcube.events import COUNT_FIELDS, FLOAT_FIELDS, MISSING
from gradcube.traces import Trace, read_trace


def column(trace: Trace, name: str) -> list[float]:
    return trace.rows.floats[:, FLOAT_FIELDS.index(name)].astype(float).tolist()


def places(trace: Trace) -> list[tuple[int, int]]:
    return list(zip(trace.rows.step.tolist(), trace.rows.rank.tolist(), strict=True))


@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
def test_rows_come_out_by_step_and_rank_whatever_their_order(tmp_path: Path, name: str) -> None:
    order = np.random.default_rng(0).permutation(12)
    step, rank = np.divmod(order, 3)
    trace = read_trace(write(tmp_path / name, step=step, rank=rank, metric="loss", value=step + rank / 10))
    assert places(trace) == [(s, r) for s in range(4) for r in range(3)]
    assert column(trace, "loss") == pytest.approx([s + r / 10 for s in range(4) for r in range(3)])
    assert [len(rows) for rows in trace.by_step()] == [3, 3, 3, 3]


def test_decreasing_steps_are_put_in_order(tmp_path: Path) -> None:
    trace = read_trace(write(tmp_path / "t.csv", step=[3, 2, 1], metric="loss", value=[1.0, 2.0, 3.0]))
    assert trace.rows.step.tolist() == [1, 2, 3]
    assert column(trace, "loss") == [3, 2, 1]


def test_without_ranks_it_is_rank_0_alone(tmp_path: Path) -> None:
    trace = read_trace(text(tmp_path / "t.csv", "step,metric,value", "7,loss,1.5", "8,loss,1.25"))
    assert places(trace) == [(7, 0), (8, 0)]
    assert trace.rows.job == "t"


def test_what_is_said_of_the_whole_job_holds_for_every_rank_that_does_not_say_otherwise(tmp_path: Path) -> None:
    trace = read_trace(
        text(tmp_path / "t.csv", "step,rank,metric,value", "0,,loss,2", "0,0,step_seconds,1", "0,1,loss,3")
    )
    assert column(trace, "loss") == [2, 3]


def test_a_step_of_the_whole_job_alone_is_one_of_the_ranks_heard_of_last(tmp_path: Path) -> None:
    lines = ["0,,loss,5", "1,0,step_seconds,1", "1,3,step_seconds,1", "2,,loss,4", "3,3,step_seconds,1", "4,,loss,3"]
    trace = read_trace(text(tmp_path / "t.csv", "step,rank,metric,value", *lines))
    assert places(trace) == [(0, 0), (1, 0), (1, 3), (2, 0), (2, 3), (3, 3), (4, 3)]
    np.testing.assert_array_equal(column(trace, "loss"), [5, np.nan, np.nan, 4, 4, np.nan, 3])


def test_nan_and_null_are_no_value(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    trace = read_trace(write(path, step=[0, 0, 1], rank=[0.0, None, 1.0], metric="loss", value=[np.nan, 2.0, None]))
    assert places(trace) == [(0, 0), (1, 1)]
    np.testing.assert_array_equal(column(trace, "loss"), [2, np.nan])


def test_ranks_that_pandas_wrote_as_floats_are_read(tmp_path: Path) -> None:
    trace = read_trace(
        text(tmp_path / "t.csv", "step,rank,metric,value", "0,0.0,loss,1", "0,1.0,loss,1", "0,,tokens,7")
    )
    assert places(trace) == [(0, 0), (0, 1)]
    assert trace.rows.counts[:, COUNT_FIELDS.index("tokens")].tolist() == [7, 7]


def test_counts_that_are_absent_are_missing_and_nonfinite_is_0(tmp_path: Path) -> None:
    trace = read_trace(text(tmp_path / "t.csv", "step,metric,value", "0,loss,1"))
    assert trace.rows.counts.tolist() == [[0] + [MISSING] * 7]


def test_identical_duplicates_are_one(tmp_path: Path) -> None:
    trace = read_trace(write(tmp_path / "t.csv", step=[0, 0], rank=[0, 0], metric="loss", value=[1.0, 1.0]))
    assert column(trace, "loss") == [1]


def test_gaps_stay_gaps_and_claim_no_lost_record(tmp_path: Path) -> None:
    trace = read_trace(write(tmp_path / "t.csv", step=[1, 5, 5, 900], rank=[0, 0, 1, 0], metric="loss", value=1.0))
    assert trace.rows.seq.tolist() == [0, 1, 0, 2]


def test_attempts_are_told_apart(tmp_path: Path) -> None:
    trace = read_trace(
        write(tmp_path / "t.csv", step=[0, 1, 1, 2], attempt=[0, 0, 1, 1], metric="loss", value=[4.0, 3, 2, 1])
    )
    assert trace.rows.attempt.tolist() == [0, 0, 1, 1]
    assert column(trace, "loss") == [4, 3, 2, 1]
    assert len(list(trace.by_step())) == 4


def test_the_trace_s_own_times_are_kept_to_the_microsecond(tmp_path: Path) -> None:
    micros = [1_800_000_000_123_457, 1_800_000_001_000_001]
    trace = read_trace(
        write(tmp_path / "t.parquet", step=[0, 1], metric="loss", value=1.0, time=[m / 1e6 for m in micros])
    )
    assert trace.rows.ended_at_micros.tolist() == micros


def test_timestamps_are_times(tmp_path: Path) -> None:
    path = text(tmp_path / "t.csv", "step,time,metric,value", "0,1970-01-01T00:00:02Z,loss,1", "1,,loss,1")
    assert read_trace(path).rows.ended_at_micros.tolist() == [2_000_000, 2_000_000]


def test_without_times_the_steps_add_up_and_the_future_has_no_say(tmp_path: Path) -> None:
    step, value = [0, 1, 2, 3], [2.0, None, 3.0, 100.0]
    trace = read_trace(write(tmp_path / "t.parquet", step=step, metric="step_seconds", value=value))
    assert trace.rows.ended_at_micros.tolist() == [2_000_000, 4_000_000, 7_000_000, 107_000_000]


def test_labels_are_those_of_the_rank(tmp_path: Path) -> None:
    lines = ["0,,,,loss,1", "0,0,1,a,loss,2", "0,1,,,loss,3", "0,1,2,b,grad_norm,3"]
    trace = read_trace(text(tmp_path / "t.csv", "step,rank,stage,node,metric,value", *lines))
    assert trace.rows.stage.tolist() == [1, 2]
    assert trace.rows.node.tolist() == ["a", "b"]


def test_other_metrics_are_named(tmp_path: Path) -> None:
    trace = read_trace(text(tmp_path / "t.csv", "step,metric,value", "0,loss,1", "0,gc_seconds,1", "0,my_ms,1"))
    assert trace.unused == ("gc_seconds", "my_ms")


def test_large_steps_and_infinite_losses_are_taken(tmp_path: Path) -> None:
    trace = read_trace(text(tmp_path / "t.csv", "step,metric,value", "0,loss,1e300", "9223372036854775807,loss,-inf"))
    assert trace.rows.step.tolist() == [0, 2**63 - 1]
    assert column(trace, "loss") == [np.inf, -np.inf]
