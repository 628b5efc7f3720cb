"""The facts of a run as the Arrow table that ingest would make of its records, column by column: a million a second."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from gradcube.cube.model import CubeModel
from gradcube.cube.store.batches import ARROW
from tests.bench.facts.fleet import RANKS, Job, OneSeries

MINUTE_MILLIS = 60_000
ID_CHARACTERS = 32


class Tables:
    """`for table in Tables(model, series()).of(jobs)`: one table a job, of `windows` rows a series."""

    def __init__(self, model: CubeModel, series: Sequence[OneSeries], windows: int = 10) -> None:
        self._model, self._series, self._windows = model, series, windows
        self._rows = len(series) * windows
        self._same = {
            "SUBJECT_KIND": self._texts([one.kind for one in series]),
            "FAMILY": self._texts([one.family for one in series]),
            "METRIC": self._texts([one.metric for one in series]),
            "STAGE": pa.array(np.tile(np.array([one.stage for one in series], np.int32), windows)),
            "WINDOW_SECONDS": pa.array(np.full(self._rows, 60, np.int32)),
            "ATTEMPT": pa.array(np.zeros(self._rows, np.int32)),
        }
        self._levels = np.array([_level(one.metric) for one in series])

    def of(self, jobs: Sequence[Job], seed: int = 0) -> Iterator[pa.Table]:
        """The same each time. Rows come window by window, as a service writes them."""
        random = np.random.default_rng(seed)
        for job in jobs:
            columns = self._same | self._of_job(job) | self._measures(job, random)
            columns["FACT_ID"] = _ids(self._rows, random)
            yield pa.table([columns[one.name].cast(ARROW[one.type.name]) for one in self._model.wire],
                           [one.name for one in self._model.wire])  # fmt: skip

    def _of_job(self, job: Job) -> dict[str, pa.Array]:
        starts = job.start_millis + MINUTE_MILLIS * np.arange(self._windows)
        texts = {"JOB": job.name, "MODEL": job.model, "HARDWARE": job.hardware, "DATASET": job.dataset}
        return {
            "TS": pa.array(np.repeat(starts, len(self._series))).cast(pa.timestamp("ms")),
            "MODEL_PARAMETERS": pa.array(np.full(self._rows, job.parameters, np.int64)),
            "SUBJECT": self._texts([_subject(one, job) for one in self._series]),
            "NODE": self._texts([_node(one, job) for one in self._series]),
            **{name: _repeated(text, self._rows) for name, text in texts.items()},
        }

    def _measures(self, job: Job, random: np.random.Generator) -> dict[str, pa.Array]:
        """A run and its machines are up to a third slower or faster than others, a window wanders by a twentieth."""
        own = np.exp(random.normal(0, 0.1, len(self._series))) * (0.8 + 0.4 * random.random())
        value = np.tile(self._levels * own, self._windows) * np.exp(random.normal(0, 0.05, self._rows))
        samples = random.integers(40, 80, self._rows)
        return {
            "METRIC_VALUE": pa.array(value), "METRIC_SUM": pa.array(value * samples),
            "METRIC_MIN": pa.array(value * 0.9), "SAMPLES": pa.array(samples),
            "METRIC_MAX": pa.array(value * (1.1 + 0.2 * random.random(self._rows))),
        }  # fmt: skip

    def _texts(self, of_series: Sequence[str]) -> pa.Array:
        encoded = pa.array(of_series).dictionary_encode()
        places = np.tile(encoded.indices.to_numpy(), self._windows)
        return encoded.dictionary.take(pa.array(places))


def _repeated(text: str, rows: int) -> pa.Array:
    return pa.array([text]).take(pa.array(np.zeros(rows, np.int32)))


def _subject(one: OneSeries, job: Job) -> str:
    return {"job": job.name, "node": job.machines[one.subject % len(job.machines)]}.get(one.kind, str(one.subject))


def _node(one: OneSeries, job: Job) -> str:
    if one.kind == "rank":
        return job.machines[one.subject * len(job.machines) // RANKS]
    return job.machines[one.subject % len(job.machines)] if one.kind == "node" else ""


def _level(metric: str) -> float:
    """About what such a metric is."""
    if metric in ("slow_down_ratio", "straggle_ratio"):
        return 1.2
    for ending, level in (("_seconds", 0.4), ("_ratio", 0.3), ("_bytes", 6e9), ("_per_second", 4e5), ("_total", 2.0)):
        if metric.endswith(ending):
            return level
    return 2.5


def _ids(rows: int, random: np.random.Generator) -> pa.Array:
    text = random.bytes(rows * ID_CHARACTERS // 2).hex().encode()
    offsets = np.arange(rows + 1, dtype=np.int32) * ID_CHARACTERS
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(text))
