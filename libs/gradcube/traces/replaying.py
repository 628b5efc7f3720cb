"""From a trace to the StepSync records that its job would have sent, step by step, under a name of their own.

Event time is kept: `ended_at` is the trace's. The service's clock correction (windows/clocks.py) leaves it alone: it
moves a rank whose clock is behind while its peers are on time, and here all are equally late.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcube.events import BUCKET_FIELDS, MISSING, StepIdentity, StepSyncEncoder
from gradcube.traces.reader import Trace
from gradcube.windows.rows import StepRows

STEPS_IN_FLIGHT = 400
"""The service holds MAX_PENDING_ROWS of steps that are not complete (diagnosis/assembler.py), and reads partitions
unevenly."""
RECORDS_IN_FLIGHT = 65_536
LEAST_STEPS_IN_FLIGHT = 4

KeyValue = tuple[bytes, bytes]


class StepEncoding:
    """Records of a trace's rows; a rank's encoder is kept as long as its place stays the same."""

    def __init__(self, job: str) -> None:
        self._job = job
        self._encoders: dict[StepIdentity, StepSyncEncoder] = {}

    def records(self, rows: StepRows) -> list[KeyValue]:
        """(key, value) of each row, in the order of rows."""
        return [(f"{self._job}/{rows.rank[at]}".encode(), self._value(rows, at)) for at in range(len(rows))]

    def _value(self, rows: StepRows, at: int) -> bytes:
        nonfinite, *optional = rows.counts[at].tolist()
        return self._encoder(rows, at).encode(
            step=int(rows.step[at]), seq=int(rows.seq[at]), dropped=int(rows.dropped[at]),
            ended_at_micros=int(rows.ended_at_micros[at]), floats=rows.floats[at].tolist(),
            counts=[nonfinite, *(None if count == MISSING else count for count in optional)],
            buckets=_buckets(rows.bucket_absmax[at]),
        )  # fmt: skip

    def _encoder(self, rows: StepRows, at: int) -> StepSyncEncoder:
        place = StepIdentity(
            self._job, int(rows.attempt[at]), int(rows.rank[at]), str(rows.node[at]), int(rows.stage[at]),
            int(rows.replica[at]),
        )  # fmt: skip
        if place not in self._encoders:
            self._encoders[place] = StepSyncEncoder(place)
        return self._encoders[place]


def not_ahead_of(trace: Trace, now_micros: int) -> tuple[Trace, int]:
    """The trace, and by how many micros it was moved into the past: 0 unless its end lies ahead of the clock.

    The service takes a time ahead of the broker's for a wrong clock, and such a step would wait for its own time.
    """
    ahead = int(trace.rows.ended_at_micros.max()) - now_micros
    if ahead <= 0:
        return trace, 0
    return replace(trace, rows=replace(trace.rows, ended_at_micros=trace.rows.ended_at_micros - ahead)), ahead


def due_seconds(trace: Trace, speed: float) -> Iterator[tuple[float, StepRows]]:
    """Each step, and when to send it: seconds after the first one, event time at `speed`; `inf` sends all at once."""
    first: int | None = None
    due = 0.0
    for rows in trace.by_step():
        ended = int(np.median(rows.ended_at_micros))
        first = ended if first is None else first
        due = max(due, (ended - first) / 1e6 / speed)
        yield due, rows


def records_in_flight(ranks: int) -> int:
    """How many records may be sent that the service has not read, so that no step waits longer than it can."""
    return max(LEAST_STEPS_IN_FLIGHT * ranks, min(STEPS_IN_FLIGHT * ranks, RECORDS_IN_FLIGHT))


def _buckets(absmax: Any) -> NDArray[np.float32]:
    """One bucket that says the largest magnitude, which is all that a trace keeps; none where it is not known."""
    if np.isnan(absmax):
        return np.empty((len(BUCKET_FIELDS), 0), np.float32)
    bucket = np.full((len(BUCKET_FIELDS), 1), np.nan, np.float32)
    bucket[BUCKET_FIELDS.index("bucket_grad_absmax")] = absmax
    return bucket
