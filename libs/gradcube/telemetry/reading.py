"""Plain numbers of what a loop and its hooks hand over at the end of a step.

In: numbers and tensors, moments in a StepClock, statistics of gradients. Out: a filled StepRecord, and the tensors
whose numbers are still on an accelerator.
"""

from collections.abc import Sequence
from math import isfinite, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcube.telemetry.phases import StepClock
from gradcube.telemetry.records import GRAD_NORM, LOSS, NONFINITE, StepRecord


def read_values(record: StepRecord, counts: Sequence[Any], floats: Sequence[Any]) -> list[Any]:
    """Puts `floats` (those from the loss on) and `counts` (all but `nonfinite`) into the record.

    Returns the tensors for which that would mean waiting; their `places` are in the record.
    """
    tensors: list[Any] = []
    for place, value in enumerate(floats, start=LOSS):
        if value is None:
            record.floats.append(nan)
        elif _on_device(value):
            record.floats.append(nan)
            record.places.append(place)
            tensors.append(value)
        else:
            record.floats.append(_plain(value))
    if floats[0] is not None and LOSS not in record.places and not isfinite(record.floats[LOSS]):
        record.nonfinite += 1
    for index, value in enumerate(counts, start=NONFINITE + 1):
        if value is None or type(value) is int:
            record.counts.append(value)
        elif _on_device(value):
            record.counts.append(None)
            record.places.append(-1 - index)
            tensors.append(value)
        else:
            record.counts.append(int(_plain(value)))
    return tensors


def read_buckets(record: StepRecord, clock: StepClock, sizes_bytes: NDArray[np.float32]) -> None:
    """Makes the record's table of `sizes_bytes` (buckets,) and the moments of the clock, in seconds of the step."""
    # Few buckets as a rule, and cold caches after the step: lists are quicker than masks of arrays.
    buckets, started = len(sizes_bytes), clock.started
    record.table = table = np.empty((8, buckets), np.float32)
    table.fill(nan)
    table[0] = sizes_bytes
    for row, moments in enumerate((clock.ready, clock.sent, clock.received), start=1):
        if any(moments):
            table[row] = [moment - started if moment else nan for moment in moments[:buckets]]


def read_gradients(record: StepRecord, measured: Any) -> list[Any]:
    """Puts the Measurement into the record; returns the tensors for which that would mean waiting."""
    if measured.on_device:
        record.measured = measured
        on_device: list[Any] = measured.on_device
        return on_device
    from gradcube.telemetry.statistics import summarise  # torch is there: it measured

    record.floats[GRAD_NORM], nonfinite = summarise(measured, measured.values, record.table)
    record.nonfinite += nonfinite
    return []


def _on_device(value: Any) -> bool:
    return not getattr(value, "is_cpu", True)


def _plain(value: Any) -> float:
    plain: float = value.item() if hasattr(value, "item") else float(value)
    return plain
