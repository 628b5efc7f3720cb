"""What diagnosis costs the CPU, all detectors on: a step of 1 rank, a record of 8 192, over reading the same."""

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from gradcube.events import decode_batch
from gradcube.traces import Trace, TraceWriter, findings_of, read_trace
from gradcube.windows.rows import StepRows
from tests.bench.bench_scale import _encoder, _record
from tests.bench.figure import Figure

RANKS = 8192
STEP_SECONDS = 1.0
START_MICROS = 1_790_000_000_000_000
Result = TypeVar("Result")


def run(quick: bool) -> list[Figure]:
    """CPU time of one thread over that of reading: a trace from Parquet, live records (64 buckets) from Avro."""
    return [_one_rank(2_000 if quick else 20_000), _many_ranks(24 if quick else 48)]


def _one_rank(steps: int) -> Figure:
    rows = _decoded([value for values in _records(1, steps) for value in values])
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "one.parquet"
        with TraceWriter(path, rows.job) as writer:
            writer.add(rows)
        trace, reading = _timed(lambda: read_trace(path))
    return _figure("diagnosis of a step, 1 rank, over reading it from Parquet", trace, reading, steps)


def _many_ranks(steps: int) -> Figure:
    parts, decoding = [], 0.0
    for values in _records(RANKS, steps):
        rows, seconds = _timed(partial(_decoded, values))
        parts.append(rows)
        decoding += seconds
    name = f"diagnosis of a record, {RANKS} ranks, over decoding it from Avro"
    return _figure(name, Trace(StepRows.concat(parts), ()), decoding, RANKS * steps)


def _figure(name: str, trace: Trace, reading: float, count: int) -> Figure:
    _, diagnosing = _timed(lambda: list(findings_of(trace)))
    details = {"diagnosis_us": diagnosing / count * 1e6, "reading_us": reading / count * 1e6}
    note = f"{details['diagnosis_us']:.3g} us of CPU, {details['reading_us']:.3g} us to read; {count:,} of them"
    return Figure(name, diagnosing / reading, "x", "stated", None, note, details)


def _records(ranks: int, steps: int) -> Iterator[list[bytes]]:
    """The records of a healthy job, step by step."""
    rng, encoders = np.random.default_rng(1), [_encoder(rank) for rank in range(ranks)]
    for step in range(steps):
        ended = START_MICROS + round((step + 1) * STEP_SECONDS * 1e6)
        compute = STEP_SECONDS * 0.6 * rng.lognormal(0, 0.02, ranks)
        yield [_record(own, step, ended, STEP_SECONDS, at) for own, at in zip(encoders, compute.tolist(), strict=True)]


def _decoded(values: list[bytes]) -> StepRows:
    batch, _ = decode_batch(values)
    at = np.arange(len(batch))
    return StepRows.from_batch(batch, "scale", at, at, batch.ended_at_micros)


def _timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """What it gives, and the CPU seconds that it took."""
    begun = time.process_time()
    result = work()
    return result, time.process_time() - begun
