"""From what a step left behind to a record on its way: values, deferred values, encoding, offering.

In: one StepRecord a step. Out: framed Avro at an emitter, in order; a record whose numbers are still on an accelerator
waits for them, and those behind it wait too.
"""

from collections import deque
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gradcube.events import COUNT_FIELDS, FLOAT_FIELDS, StepIdentity, StepSyncEncoder
from gradcube.telemetry.identity import RankIdentity

NONFINITE = COUNT_FIELDS.index("nonfinite")
LOSS = FLOAT_FIELDS.index("loss")
GRAD_NORM = FLOAT_FIELDS.index("grad_norm")
MAX_WAITING = 8
"""Records that wait for an accelerator before the oldest goes out at any rate."""


class StepEmitter(Protocol):
    """What a monitor needs of `gradcube.bus.emitter.Emitter`."""

    def offer(self, topic: str, key: bytes, value: bytes) -> bool:
        """Takes the record or counts it as dropped; never blocks."""

    def take_dropped(self, topic: str) -> int:
        """Dropped since the last call."""

    def stats(self) -> Any:
        """EmitterStats."""

    def flush(self, timeout_seconds: float) -> bool:
        """Waits until everything is acknowledged."""

    def close(self, timeout_seconds: float) -> None:
        """Flushes and ends."""


@dataclass(slots=True)
class StepRecord:
    """One step; `counts` (which begins with `nonfinite`) and `floats` in the order of the schema, `table` (8, buckets).

    `waiting` is a copy from an accelerator with where its first numbers belong (`places`: index into floats, or minus
    one less the index into counts); the numbers after those are rows of `measured`.
    """

    step: int
    seq: int
    ended_at_micros: int
    floats: list[float]
    table: NDArray[np.float32]
    nonfinite: int = 0
    counts: list[int | None] = field(default_factory=lambda: [None])
    waiting: Any = None
    places: list[int] = field(default_factory=list)
    measured: Any = None


class RecordSender:
    """Encodes and offers records of one rank. Used by the training thread alone."""

    def __init__(self, emitter: StepEmitter, topic: str, identity: RankIdentity) -> None:
        self._emitter = emitter
        self._topic = topic
        self._key = identity.key
        self._encoder = StepSyncEncoder(
            StepIdentity(
                job=identity.job,
                attempt=identity.attempt,
                rank=identity.rank,
                node=identity.node,
                stage=identity.stage,
                replica=identity.replica,
            )
        )
        self._waiting: deque[StepRecord] = deque()

    def send(self, record: StepRecord) -> None:
        """Offers the record now, or once its numbers are on the host."""
        if record.waiting is None and not self._waiting:
            self._offer(record)
            return
        self._waiting.append(record)
        while self._waiting and (
            self._waiting[0].waiting is None or self._waiting[0].waiting.ready() or len(self._waiting) > MAX_WAITING
        ):
            self._complete_first()

    def drain(self) -> None:
        """Offers what waits, after waiting for its numbers."""
        while self._waiting:
            self._complete_first()

    def _complete_first(self) -> None:
        record = self._waiting.popleft()
        if record.waiting is not None:
            _complete(record)
        self._offer(record)

    def _offer(self, record: StepRecord) -> None:
        value = self._encoder.encode(
            step=record.step,
            seq=record.seq,
            dropped=self._emitter.take_dropped(self._topic),
            ended_at_micros=record.ended_at_micros,
            counts=[record.nonfinite, *record.counts[1:]],
            floats=record.floats,
            buckets=record.table,
        )
        self._emitter.offer(self._topic, self._key, value)


def _complete(record: StepRecord) -> None:
    numbers = record.waiting.numbers()
    for place, number in zip(record.places, numbers, strict=False):
        if place >= 0:
            record.floats[place] = number
            record.nonfinite += place == LOSS and not isfinite(number)
        else:
            record.counts[-1 - place] = int(number) if isfinite(number) else None
    if record.measured is not None:
        from gradcube.telemetry.statistics import summarise  # torch is there: it made the numbers

        rows = np.array(numbers[len(record.places) :]).reshape(-1, 5)
        norm, nonfinite = summarise(record.measured, rows.tolist(), record.table)
        record.floats[GRAD_NORM] = norm
        record.nonfinite += nonfinite
