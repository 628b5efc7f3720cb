"""From the raw records of gradcube.steps to a trace: the records of one job are kept, the others are counted."""

from collections.abc import Sequence

import numpy as np

from gradcube.bus.consumer import Record
from gradcube.events import decode_batch
from gradcube.traces.writer import TraceWriter
from gradcube.windows.rows import StepRows


class Recording:
    """Writes what belongs to `job`; `unreadable` counts records that are no StepSync, `other_jobs` names the rest."""

    def __init__(self, writer: TraceWriter, job: str) -> None:
        self._writer = writer
        self._job = job
        self.unreadable = 0
        self.other_jobs: set[str] = set()

    def add(self, records: Sequence[Record]) -> int:
        """How many of the records were the job's."""
        batch, bad = decode_batch([record.value for record in records])
        self.unreadable += len(bad)
        own = batch.job == self._job
        self.other_jobs.update(batch.job[~own].tolist())
        if not own.any():
            return 0
        offsets = np.array([records[at].offset for at in batch.index], np.int64)
        appended = np.array([records[at].timestamp_millis for at in batch.index], np.int64) * 1000
        self._writer.add(StepRows.from_batch(batch, self._job, own, offsets, appended))
        return int(own.sum())
