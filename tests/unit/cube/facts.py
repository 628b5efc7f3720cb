"""Facts for the cube's tests."""

from typing import Any

from gradcube.events.facts import Fact, encode_fact, fact_id

FIRST_MILLIS = 1_795_492_800_000  # 2026-11-24 04:00:00


def fact(number: int, *, job: str = "bert", metric: str = "loss", **changes: Any) -> Fact:
    """The `number`-th window of a job, 10 s apart from 2026-11-24 04:00:00."""
    ts = FIRST_MILLIS + 10_000 * number
    identity = fact_id(
        job=job, attempt=1, ts_millis=ts, window_seconds=10, subject_kind="job", subject=job, metric=metric
    )
    row: Fact = {
        "TS": ts, "WINDOW_SECONDS": 10, "JOB": job, "ATTEMPT": 1, "MODEL": "bert", "MODEL_PARAMETERS": 1_000_000,
        "HARDWARE": "cpu", "DATASET": "stdlib", "SUBJECT_KIND": "job", "SUBJECT": job, "NODE": "", "STAGE": 0,
        "FAMILY": "quality", "METRIC": metric, "FACT_ID": identity, "METRIC_VALUE": float(number),
        "METRIC_SUM": number * 2.0, "METRIC_MIN": 0.0, "METRIC_MAX": 1.0, "SAMPLES": 5,
    }  # fmt: skip
    return {**row, **changes}  # type: ignore[typeddict-item]


def value(number: int, **changes: Any) -> bytes:
    """The same as it lies in Kafka."""
    return encode_fact(fact(number, **changes))
