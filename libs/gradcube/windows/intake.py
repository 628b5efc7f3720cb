"""From rows to panes: which of them count, at what time, and as whose.

Rows of all sources of one job come in, with their offsets; panes of event time fill up. Everything is decided by
offsets and times alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from gradcube.windows.admission import Admission, Judged, Source
from gradcube.windows.clocks import Clocks
from gradcube.windows.columns import BoolArray, IntArray, Table
from gradcube.windows.panes import Pane
from gradcube.windows.rows import EvaluationRows, ResourceRows, ServerRows, StepRows
from gradcube.windows.samples import bookkeeping, step_samples
from gradcube.windows.sequences import SeenSequences
from gradcube.windows.series import SeriesTable
from gradcube.windows.settings import MICROS, Clipping, WindowSettings
from gradcube.windows.side_samples import evaluation_samples, resource_samples, server_samples

T = TypeVar("T", bound=Table)


@dataclass(frozen=True)
class Added:
    """What became of a batch of rows.

    `accepted` rows count in a window. `duplicate` ones were read before, or sent twice. `late` ones came after their
    window was written: they go to the dead-letter topic, and step records among them are counted in the window that
    was open. `max_event_micros` is what a watermark wants to know (0 for no row). `newest_pane_micros` is the start
    of the newest pane in which a row of the batch counts, None for none: while it is not below
    `unwritten_from_micros`, a part of the batch is still to be written, and a restart must feed the batch again.
    """

    accepted: int
    duplicate: int
    late: Table
    max_event_micros: int
    newest_pane_micros: int | None


class Intake:
    """The open panes of one job, and what it takes to fill them; a pane goes when all its windows are written."""

    def __init__(self, settings: WindowSettings) -> None:
        self._settings = settings
        self._pane_micros = settings.pane_seconds * MICROS
        self._sequences = SeenSequences()
        self.admission = Admission()
        self.clocks = Clocks(settings.clock_grace_seconds)
        self.panes: dict[int, Pane] = {}
        self.tables = {kind: SeriesTable(kind) for kind in ("rank", "node", "shard", "dataset")}
        self.clipping: Mapping[int, Clipping] = {}
        """Of each attempt that is known to clip."""
        self.written_until_micros = 0
        """All windows that end until then are written, of the job and of what it consists of."""

    def add_steps(self, rows: StepRows, source: Source) -> Added:
        """Adds step records; their offsets within `source` ascend."""
        fresh = self.admission.fresh(source, rows.offset)
        known = int((~fresh).sum())
        rows = rows.take(fresh) if known else rows
        event = self.clocks.event_micros(
            source, rows.attempt, rows.rank, rows.ended_at_micros, rows.appended_at_micros, rows.offset
        )
        judged = self._judge(rows, event, source)
        series = self.tables["rank"].ids(rows.attempt, rows.rank, rows.node, rows.stage)
        kept = judged.pane_micros >= self.written_until_micros
        twice = self._count_twice(rows, series, judged, kept)
        counted = np.flatnonzero(kept & ~judged.late & ~twice)
        self._count(rows, series, event, judged.pane_micros, counted)
        self._mark(series, judged.pane_micros, np.flatnonzero(kept & judged.late), "late_records")
        late = rows.take(judged.late & ~judged.repeated)
        return _added(len(counted), known + int(twice.sum()), late, event, judged.pane_micros[kept])

    def add_resources(self, rows: ResourceRows, source: Source) -> Added:
        """Adds resource samples: those of a rank to the rank, the others to the node."""
        ranks, nodes = self.tables["rank"], self.tables["node"]

        def put(pane: Pane, mine: ResourceRows, event: IntArray) -> None:
            samples = resource_samples(mine, event)
            ranked = mine.rank >= 0
            of_rank, of_node = mine.take(ranked), mine.take(~ranked)
            pane.resources.add(ranks.ids(of_rank.attempt, of_rank.rank, of_rank.node), samples[ranked])
            pane.nodes.add(nodes.named_ids(of_node.attempt, of_node.node, of_node.node), samples[~ranked])

        return self._add(rows, source, put)

    def add_servers(self, rows: ServerRows, source: Source) -> Added:
        """Adds applied versions of the parameter servers' shards."""

        def put(pane: Pane, mine: ServerRows, event: IntArray) -> None:
            pane.servers.add(self.tables["shard"].ids(mine.attempt, mine.shard, mine.node), server_samples(mine, event))

        return self._add(rows, source, put)

    def add_evaluations(self, rows: EvaluationRows, source: Source) -> Added:
        """Adds measured qualities of checkpoints, by the dataset that they were measured on."""

        def put(pane: Pane, mine: EvaluationRows, _event: IntArray) -> None:
            nowhere = np.full(len(mine), "", object)
            ids = self.tables["dataset"].named_ids(mine.attempt, mine.dataset, nowhere)
            pane.evaluations.add(ids, evaluation_samples(mine))

        return self._add(rows, source, put)

    def forget(self, until_micros: int, written_until_micros: int) -> None:
        """Notes that the job's windows are closed until the one time, and everything is until the other."""
        self.written_until_micros = written_until_micros
        self.admission.close(until_micros, written_until_micros)
        self._sequences.forget_before(written_until_micros)
        for start in [start for start in self.panes if start < until_micros]:
            self.panes[start].by_step.clear()
        for start in [start for start in self.panes if start < written_until_micros]:
            del self.panes[start]

    def _add(self, rows: T, source: Source, put: Callable[[Pane, Any, IntArray], None]) -> Added:
        """Rows that are no steps: no clock of a rank to learn, but none may run ahead of the broker either."""
        fresh = self.admission.fresh(source, rows.offset)
        rows = rows.take(fresh)
        ended, appended = rows.ended_at_micros, rows.appended_at_micros  # type: ignore[attr-defined]
        grace = round(self._settings.clock_grace_seconds * MICROS)
        event: IntArray = np.where(ended > appended + grace, appended, ended)
        judged = self._judge(rows, event, source)
        kept = (judged.pane_micros >= self.written_until_micros) & ~judged.late
        for start in np.unique(judged.pane_micros[kept]).tolist():
            mine = kept & (judged.pane_micros == start)
            put(self._pane(start), rows.take(mine), event[mine])
        late = rows.take(judged.late & ~judged.repeated)
        return _added(int(kept.sum()), int((~fresh).sum()), late, event, judged.pane_micros[kept])

    def _judge(self, rows: Table, event: IntArray, source: Source) -> Judged:
        panes = event // self._pane_micros * self._pane_micros
        return self.admission.judge(source, rows.offset, panes, self._pane_micros)

    def _count_twice(self, rows: StepRows, series: IntArray, judged: Judged, kept: BoolArray) -> BoolArray:
        twice = np.zeros(len(rows), bool)
        at = np.flatnonzero(kept & ~judged.late)
        length = self._settings.subject_window_seconds * MICROS
        window = judged.pane_micros[at] // length * length
        twice[at] = self._sequences.repeated(series[at], rows.seq[at], window)
        self._mark(series, judged.pane_micros, np.flatnonzero(twice), "duplicate_records")
        return twice

    def _count(self, rows: StepRows, series: IntArray, event: IntArray, pane: IntArray, at: IntArray) -> None:
        samples = step_samples(rows, event, self.clipping)
        for start in np.unique(pane[at]).tolist():
            mine = at[pane[at] == start]
            self._pane(start).add_steps(series[mine], samples[mine], rows.attempt[mine], rows.step[mine])

    def _mark(self, series: IntArray, pane: IntArray, at: IntArray, column: str) -> None:
        for start in np.unique(pane[at]).tolist():
            mine = at[pane[at] == start]
            self._pane(start).steps.add(series[mine], bookkeeping(series[mine], column))

    def _pane(self, start_micros: int) -> Pane:
        if start_micros not in self.panes:
            self.panes[start_micros] = Pane()
        return self.panes[start_micros]


def _added(accepted: int, duplicate: int, late: Table, event: IntArray, panes: IntArray) -> Added:
    newest = int(panes.max()) if len(panes) else None
    return Added(accepted, duplicate, late, int(event.max(initial=0)), newest)
