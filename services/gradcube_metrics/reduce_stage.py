"""Stage one as its Faust agent calls it: batches of raw records in, partials written and marked batches out."""

import asyncio
from typing import Any

from gradcube_metrics.counters import Counters
from gradcube_metrics.decode import REDUCERS
from gradcube_metrics.fast_fetch import FetchBatch
from gradcube_metrics.output import Output, written
from gradcube_metrics.partials import STEPS

MAX_IN_FLIGHT = 32
"""Batches of stage one that may wait for their partials to be acknowledged."""


class ReduceStage:
    """Stage one: stateless; a batch is done once its partials and dead letters are acknowledged."""

    def __init__(self, output: Output, counters: Counters) -> None:
        self._output = output
        self._counters = counters
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, batch: FetchBatch) -> None:
        """Reduces and sends; returns before the acknowledgements. Raises the error of an earlier batch."""
        reduced = REDUCERS[batch.topic](batch.records, batch.partition)
        sends = [await self._output.partial(partial) for partial in reduced.partials]
        sends += [await self._output.dead_letter(batch.records[bad.index], bad.error, "decode") for bad in reduced.bad]
        self._counters.records_read += len(batch.records)
        self._counters.records_bad += len(reduced.bad)
        self._counters.partials_written += len(reduced.partials)
        for partial in reduced.partials:
            self._counters.read_of_job(partial.job, len(partial.rows), steps=batch.topic == STEPS)
        await self._slots.acquire()
        for done in [task for task in self._tasks if task.done()]:
            self._tasks.remove(done)
            done.result()
        self._tasks.add(asyncio.create_task(self._finish(batch, sends)))

    async def _finish(self, batch: FetchBatch, sends: list[Any]) -> None:
        try:
            await written(sends)
            batch.written = True
            batch.records = ()
        finally:
            self._slots.release()
