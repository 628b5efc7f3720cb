"""Step rows for tests: plain ones, of a run with several ranks, and with single fields changed."""

from typing import Any

import numpy as np

from gradcube.events import COUNT_FIELDS, FLOAT_FIELDS
from gradcube.windows import StepRows
from gradcube.windows.rows import RESOURCE_FLOATS, SERVER_FLOATS, ResourceRows, ServerRows

START = 1_800_000_000_000_000
"""Micros; a multiple of a minute."""
SECOND = 1_000_000


def make_rows(
    seconds: list[float], *, rank: int | list[int] = 0, first_offset: int = 0, job: str = "bert", **columns: Any
) -> StepRows:
    """Rows that ended `seconds` after START; a field of StepSync in `columns` is a scalar or one value a row."""
    k = len(seconds)
    ended = START + np.round(np.array(seconds, float) * SECOND).astype(np.int64)
    floats = np.full((k, len(FLOAT_FIELDS)), np.nan, np.float32)
    counts = np.full((k, len(COUNT_FIELDS)), -1, np.int64)
    counts[:, 0] = 0
    for name in [name for name in columns if name in FLOAT_FIELDS]:
        floats[:, FLOAT_FIELDS.index(name)] = columns.pop(name)
    for name in [name for name in columns if name in COUNT_FIELDS]:
        counts[:, COUNT_FIELDS.index(name)] = columns.pop(name)

    def full(name: str, default: Any, dtype: Any) -> Any:
        return np.array(np.broadcast_to(columns.pop(name, default), k), dtype)

    rows = StepRows(
        job=job,
        attempt=full("attempt", 0, np.int32),
        rank=np.array(np.broadcast_to(rank, k), np.int32),
        stage=full("stage", 0, np.int32),
        replica=full("replica", 0, np.int32),
        node=full("node", "node-a", object),
        step=full("step", first_offset + np.arange(k), np.int64),
        seq=full("seq", first_offset + np.arange(k), np.int64),
        dropped=full("dropped", 0, np.int64),
        ended_at_micros=full("ended_at_micros", ended, np.int64),
        appended_at_micros=full("appended_at_micros", ended + 20_000, np.int64),
        offset=full("offset", first_offset + np.arange(k), np.int64),
        counts=counts,
        floats=floats,
        bucket_absmax=np.full(k, np.nan, np.float32),
    )
    assert not columns, f"unknown fields: {sorted(columns)}"
    return rows


def make_resources(seconds: list[float], *, rank: int = -1, node: str = "node-a", **floats: Any) -> ResourceRows:
    k = len(seconds)
    ended = START + np.round(np.array(seconds, float) * SECOND).astype(np.int64)
    values = np.full((k, len(RESOURCE_FLOATS)), np.nan)
    for name, value in floats.items():
        values[:, RESOURCE_FLOATS.index(name)] = value
    return ResourceRows(
        "bert", np.full(k, -1 if rank < 0 else 0, np.int32), np.full(k, rank, np.int32), np.full(k, node, object),
        np.full(k, "host", object), ended, ended + 1000, np.arange(k), values,
    )  # fmt: skip


def make_servers(seconds: list[float], *, shard: int = 0, **floats: Any) -> ServerRows:
    k = len(seconds)
    ended = START + np.round(np.array(seconds, float) * SECOND).astype(np.int64)
    values = np.full((k, len(SERVER_FLOATS)), np.nan)
    for name, value in floats.items():
        values[:, SERVER_FLOATS.index(name)] = value
    return ServerRows(
        "bert", np.zeros(k, np.int32), np.full(k, shard, np.int32), np.full(k, "node-p", object), np.arange(k),
        ended, ended + 1000, np.arange(k), values,
    )  # fmt: skip
