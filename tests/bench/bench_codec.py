"""StepSync at 64 buckets: our encoder and batch decoder against fastavro's, interleaved, in CPU time of one thread."""

import io
import statistics
import time
from collections.abc import Callable
from typing import Any

import fastavro
import numpy as np

from gradcube.events import (
    BUCKET_FIELDS,
    COUNT_FIELDS,
    FLOAT_FIELDS,
    StepIdentity,
    StepSyncEncoder,
    decode_batch,
    registry,
)
from tests.bench.figure import Figure

NUM_BUCKETS = 64
NUM_RECORDS = 2000
GOAL_RATIO = 10.0
IDENTITY = StepIdentity("bert", 0, 3, "node-a")
Step = dict[str, Any]


def run(quick: bool) -> list[Figure]:
    """Both ratios; fastavro gets what it likes best (ready lists) and pays nothing for the framing."""
    rounds = 5 if quick else 25
    steps = _steps(np.random.default_rng(7))
    records = [_record(step) for step in steps]
    parsed = registry().latest("StepSync").parsed
    encoder = StepSyncEncoder(IDENTITY)
    values = [encoder.encode(**step) for step in steps]
    assert [value[5:] for value in values] == [_write(parsed, record) for record in records]
    encode = _compare(
        rounds,
        lambda: _each(lambda step: encoder.encode(**step), steps),
        lambda: _each(lambda record: _write(parsed, record), records),
    )
    decode = _compare(rounds, lambda: decode_batch(values), lambda: _read_columns(parsed, values))
    return [_figure("StepSync encode, 64 buckets", *encode), _figure("StepSync batch decode to numpy", *decode)]


def _steps(random: np.random.Generator) -> list[Step]:
    return [
        {
            "step": 10_000 + number,
            "seq": 10_000 + number,
            "dropped": 0,
            "ended_at_micros": 1_790_000_000_000_000 + 250_000 * number,
            "counts": (0, 10_000 + number, 0, int(random.integers(600)), 612, 4096, 8, 32),
            "floats": tuple(random.random(len(FLOAT_FIELDS), np.float32).tolist()),
            "buckets": random.random((len(BUCKET_FIELDS), NUM_BUCKETS), np.float32),
        }
        for number in range(NUM_RECORDS)
    ]


def _record(step: Step) -> dict[str, Any]:
    record = {name: getattr(IDENTITY, name) for name in ("job", "attempt", "rank", "node", "stage", "replica")}
    record |= {name: step[name] for name in ("step", "seq", "dropped")} | {"ended_at": step["ended_at_micros"]}
    record |= dict(zip(COUNT_FIELDS, step["counts"], strict=True))
    record |= dict(zip(FLOAT_FIELDS, step["floats"], strict=True))
    return record | dict(zip(BUCKET_FIELDS, step["buckets"].tolist(), strict=True))


def _write(parsed: Any, record: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, parsed, record)
    return out.getvalue()


def _read_columns(parsed: Any, values: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """What decode_batch gives at the least: floats (k, 13) and buckets (k, 8, n)."""
    records: list[Any] = [fastavro.schemaless_reader(io.BytesIO(value[5:]), parsed, None) for value in values]
    floats = np.array([[record[name] for name in FLOAT_FIELDS] for record in records], np.float32)
    return floats, np.array([[record[name] for name in BUCKET_FIELDS] for record in records], np.float32)


def _each(work: Callable[[dict[str, Any]], object], items: list[dict[str, Any]]) -> None:
    for item in items:  # nothing is kept: fresh memory would cost both the same, and is not the codec's
        work(item)


def _compare(rounds: int, ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[list[float], list[float]]:
    """CPU seconds of each round; the two take turns, so that a noisy neighbour meets both."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for times, work in zip(seconds, (ours, theirs), strict=True):
            began = time.process_time()
            work()
            times.append(time.process_time() - began)
    return seconds


def _figure(name: str, ours: list[float], theirs: list[float]) -> Figure:
    ratios = [other / own for own, other in zip(ours, theirs, strict=True)]
    ratio = statistics.median(ratios)
    details = {
        "records_per_second": NUM_RECORDS / statistics.median(ours),
        "fastavro_records_per_second": NUM_RECORDS / statistics.median(theirs),
        "lowest_ratio": min(ratios),
        "highest_ratio": max(ratios),
        "rounds": float(len(ratios)),
    }
    note = f"{details['records_per_second']:,.0f} records/s, fastavro {details['fastavro_records_per_second']:,.0f}"
    return Figure(name, ratio, "x fastavro", f">= {GOAL_RATIO:g} x", ratio >= GOAL_RATIO, note, details)
