from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.windows.making import make_resources, make_rows, make_servers

from gradcube.errors import SchemaError
from gradcube.events import BUCKET_FIELDS, StepIdentity, StepSyncEncoder, decode_batch
from gradcube.windows import ResourceRows, ServerRows, StepRows


def assert_same(left: Any, right: Any) -> None:
    assert left.job == right.job
    for name in left.DTYPES:
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name), err_msg=name)
        assert getattr(left, name).dtype == getattr(right, name).dtype, name


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 2000), st.floats(width=32), st.text(max_size=5)), max_size=20)
)
def test_rows_survive_the_way_through_columns(given_rows: list[tuple[float, int, float, str]]) -> None:
    seconds, ranks, losses, nodes = (
        (list(column) for column in zip(*given_rows, strict=True)) if given_rows else ([],) * 4
    )
    rows = make_rows(seconds, rank=ranks, loss=losses, node=nodes)
    assert_same(StepRows.from_columns("bert", rows.to_columns()), rows)


def test_resource_and_server_rows_survive_as_well() -> None:
    resources = make_resources([1, 2], cpu_utilization_ratio=0.5)
    assert_same(ResourceRows.from_columns("bert", resources.to_columns()), resources)
    servers = make_servers([1, 2], apply_seconds=0.5)
    assert_same(ServerRows.from_columns("bert", servers.to_columns()), servers)


def test_a_missing_column_is_named() -> None:
    columns = make_rows([1.0]).to_columns()
    del columns["loss"]
    with pytest.raises(SchemaError, match="'loss' is missing"):
        StepRows.from_columns("bert", columns)


def test_columns_of_unequal_length_are_refused() -> None:
    columns = make_rows([1.0, 2.0]).to_columns()
    columns["seq"] = np.array([1], np.int64)
    with pytest.raises(SchemaError, match="differ in length"):
        StepRows.from_columns("bert", columns)


def test_take_and_concat_are_inverse() -> None:
    rows = make_rows([1.0, 2.0, 3.0, 4.0], rank=[0, 1, 0, 1], loss=[1, 2, 3, 4])
    odd = rows.rank == 1
    parts = StepRows.concat([rows.take(odd), rows.take(~odd)])
    assert_same(parts.take(np.argsort(parts.offset)), rows)


def test_rows_of_two_jobs_are_not_joined() -> None:
    with pytest.raises(ValueError, match=r"bert.*gpt"):
        StepRows.concat([make_rows([1.0]), make_rows([1.0], job="gpt")])


def test_rows_come_out_of_a_decoded_batch() -> None:
    buckets = np.arange(16, dtype=np.float32).reshape(len(BUCKET_FIELDS), 2)
    encoders = [StepSyncEncoder(StepIdentity("bert", 0, rank, f"node-{rank}")) for rank in (0, 1)]
    values = [
        encoders[rank].encode(
            step=7, seq=7, dropped=rank, ended_at_micros=1_000 + rank, counts=[0, *[None] * 7],
            floats=[float(rank)] * 13, buckets=buckets if rank else np.empty((8, 0), np.float32),
        )
        for rank in (0, 1)
    ]  # fmt: skip
    batch, bad = decode_batch(values)
    assert not bad
    rows = StepRows.from_batch(batch, "bert", batch.rank == 1, np.array([40, 41]), np.array([2_000, 2_001]))
    assert (rows.offset.tolist(), rows.appended_at_micros.tolist()) == ([41], [2_001])
    assert (rows.dropped.tolist(), rows.node.tolist()) == ([1], ["node-1"])
    assert rows.bucket_absmax.tolist() == [15.0]


def test_null_in_a_resource_sample_is_nan_and_never_0() -> None:
    record: dict[str, Any] = dict.fromkeys(
        ResourceRows.from_columns("bert", make_resources([1]).to_columns()).to_columns()
    )
    record |= {"node": "node-a", "device": "host", "sampled_at": 5, "memory_used_bytes": 7, "reach": []}
    rows = ResourceRows.from_records("bert", [record], np.array([3]), np.array([6]))
    columns = rows.to_columns()
    assert list(columns["memory_used_bytes"]) == [7.0]
    assert np.isnan(columns["gpu_power_watts"]).all()  # type: ignore[arg-type]
    assert (rows.rank.tolist(), rows.attempt.tolist()) == ([-1], [-1])


def test_a_server_sync_without_ranks_has_no_arrivals() -> None:
    record = {
        "attempt": 0, "shard": 1, "node": "p", "version": 3, "ended_at": 5, "apply_seconds": 0.25, "queue_depth": 2,
        "rank": [], "arrival_seconds": [], "staleness": [], "bytes": [], "dropped": [],
    }  # fmt: skip
    rows = ServerRows.from_records("bert", [record], np.array([0]), np.array([6]))
    assert rows.floats[0, :2].tolist() == [0.25, 2.0]
    assert np.isnan(rows.floats[0, 2:4]).all()
