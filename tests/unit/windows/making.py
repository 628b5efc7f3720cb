"""Step rows for tests: plain ones, of a run with several ranks, and with single fields changed."""

from typing import Any

import numpy as np

from gradcube.events import COUNT_FIELDS, FLOAT_FIELDS, Fact
from gradcube.windows import JobDescription, JobWindows, StepRows, WindowSettings
from gradcube.windows.rows import RESOURCE_FLOATS, SERVER_FLOATS, EvaluationRows, ResourceRows, ServerRows

START = 1_800_000_000_000_000
"""Micros; a multiple of a minute."""
SECOND = 1_000_000
ALIKE = WindowSettings(subject_window_seconds=10)
"""Windows of 10 s for everybody."""
TOPICS = {
    ResourceRows: "gradcube.resources",
    ServerRows: "gradcube.server-syncs",
    EvaluationRows: "gradcube.evaluations",
}


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


def make_evaluations(seconds: list[float], metric: Any, value: Any, **columns: Any) -> EvaluationRows:
    k = len(seconds)
    ended = START + np.round(np.array(seconds, float) * SECOND).astype(np.int64)

    def full(name: str, default: Any, dtype: Any) -> Any:
        return np.array(np.broadcast_to(columns.pop(name, default), k), dtype)

    rows = EvaluationRows(
        "bert", full("attempt", 0, np.int32), full("step", 0, np.int64), full("dataset", "held-out", object),
        np.array(np.broadcast_to(metric, k), object), np.array(np.broadcast_to(value, k), float),
        full("samples", 1, np.int64), ended, ended + 1000, columns.pop("first_offset", 0) + np.arange(k),
    )  # fmt: skip
    assert not columns, f"unknown fields: {sorted(columns)}"
    return rows


def add(windows: JobWindows, rows: Any, partition: int) -> Any:
    """Rows of any kind, each by the way that its topic goes."""
    kinds = {
        ResourceRows: windows.add_resources, ServerRows: windows.add_servers, EvaluationRows: windows.add_evaluations
    }  # fmt: skip
    kind = type(rows)
    return kinds.get(kind, windows.add)(rows, (TOPICS.get(kind, "gradcube.steps"), partition))


def facts_of(
    *batches: Any, until: float = 1_000, description: JobDescription | None = None, settings: WindowSettings = ALIKE
) -> list[Fact]:
    """The facts of batches that come each from its own partition."""
    windows = JobWindows(settings, "bert")
    for partition, batch in enumerate(batches):
        add(windows, batch, partition)
    return windows.facts(windows.close(START + round(until * SECOND)), description or JobDescription("bert"))


def one(facts: list[Fact], metric: str, kind: str = "job", at: int = 0, subject: str | None = None) -> Fact:
    """The only fact of that metric and kind in the window that begins `at` seconds after START."""
    found = [
        f for f in facts
        if (f["METRIC"], f["SUBJECT_KIND"], f["TS"]) == (metric, kind, START // 1000 + at * 1000)
        and subject in (None, f["SUBJECT"])
    ]  # fmt: skip
    assert len(found) == 1, f"{metric}: {found}"
    return found[0]


def value(facts: list[Fact], metric: str, kind: str = "job", at: int = 0, subject: str | None = None) -> float:
    """Its METRIC_VALUE."""
    return one(facts, metric, kind, at, subject)["METRIC_VALUE"]
