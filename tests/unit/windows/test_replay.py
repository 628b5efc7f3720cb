"""Exactly once: a stream that is cut anywhere and fed again gives the facts of the stream that was not."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.windows.making import SECOND, START, make_rows

from gradcube.events import Fact
from gradcube.windows import JobDescription, JobWindows, StepRows, WindowSettings

DESCRIPTION = JobDescription("bert")
SETTINGS = WindowSettings(subject_window_seconds=30)


@dataclass(frozen=True)
class Batch:
    """Rows of one partition, and the watermark after them; None closes nothing."""

    partition: int
    rows: StepRows
    watermark: int


@st.composite
def streams(draw: st.DrawFn) -> list[Batch]:
    """Batches of three partitions whose times go on with jitter, with late rows and rows sent twice."""
    offsets, clock, batches = [0, 0, 0], 0.0, []
    for _ in range(draw(st.integers(1, 14))):
        partition = draw(st.integers(0, 2))
        jitter = draw(st.lists(st.sampled_from([0.0, 0.5, 3.0, -4.0, -25.0]), min_size=1, max_size=4))
        clock += draw(st.sampled_from([0.0, 2.0, 8.0, 21.0]))
        first = offsets[partition]
        seq = [first + at if draw(st.integers(0, 5)) else max(first + at - 1, 0) for at in range(len(jitter))]
        seconds = [30 + clock + late for late in jitter]
        rows = make_rows(
            seconds, rank=partition, first_offset=first, seq=seq, loss=[s / 7 for s in seq], step_seconds=0.1, tokens=3
        )
        offsets[partition] += len(jitter)
        batches.append(Batch(partition, rows, START + round((25 + clock) * SECOND)))
    return batches


def run(windows: JobWindows, batches: list[Batch], from_position: int = 0, quiet_until: int = 0) -> list[Fact]:
    facts: list[Fact] = []
    for position, batch in enumerate(batches):
        if position >= from_position:
            windows.add(batch.rows, ("gradcube.steps", batch.partition))
            if position >= quiet_until:
                facts += windows.facts(windows.close(batch.watermark), DESCRIPTION)
    return facts


def finish(windows: JobWindows) -> list[Fact]:
    return windows.facts(windows.close(START + 10_000 * SECOND), DESCRIPTION)


def run_and_die(batches: list[Batch], dies_at: int) -> list[Fact]:
    """Dies after `dies_at` batches; a second process goes on from what the first one had saved at its last close."""
    first = JobWindows(SETTINGS)
    facts, saved, saved_at, newest = [], json.dumps(first.state()), 0, []
    for position, batch in enumerate(batches[:dies_at]):
        added = first.add(batch.rows, ("gradcube.steps", batch.partition))
        newest.append(added.newest_pane_micros)
        closed = first.close(batch.watermark)
        if closed:
            facts += first.facts(closed, DESCRIPTION)
            saved, saved_at, unwritten = json.dumps(first.state()), position + 1, first.unwritten_from_micros
    second = JobWindows(SETTINGS)
    start = 0
    if saved_at:
        second.restore(json.loads(saved))
        unfinished = [at for at in range(saved_at) if newest[at] is not None and newest[at] >= unwritten]
        start = min(unfinished, default=saved_at)
    return facts + run(second, batches, start, quiet_until=saved_at) + finish(second)


def assert_same_facts(found: list[Fact], wanted: list[Fact]) -> None:
    ids = [fact["FACT_ID"] for fact in found]
    assert len(ids) == len(set(ids)), "a fact was written twice"
    assert set(ids) == {fact["FACT_ID"] for fact in wanted}
    by_id = {fact["FACT_ID"]: fact for fact in found}
    for fact in wanted:
        again = by_id[fact["FACT_ID"]]
        for name in ("METRIC_VALUE", "METRIC_SUM", "METRIC_MIN", "METRIC_MAX"):
            assert again[name] == pytest.approx(fact[name], rel=1e-12), fact  # type: ignore[literal-required]
        assert {**again, **fact} == fact, "labels"
        assert again["SAMPLES"] == fact["SAMPLES"]


@settings(max_examples=30, deadline=None)
@given(streams(), st.integers(0, 14))
def test_a_stream_cut_anywhere_gives_the_facts_of_one_that_was_not(batches: list[Batch], dies_at: int) -> None:
    whole = JobWindows(SETTINGS)
    wanted = run(whole, batches) + finish(whole)
    assert_same_facts(run_and_die(batches, min(dies_at, len(batches))), wanted)


@settings(max_examples=10, deadline=None)
@given(streams())
def test_the_same_rows_give_the_same_facts_in_the_same_order(batches: list[Batch]) -> None:
    windows = [JobWindows(SETTINGS), JobWindows(SETTINGS)]
    assert run(windows[0], batches) + finish(windows[0]) == run(windows[1], batches) + finish(windows[1])


@settings(max_examples=30, deadline=None)
@given(streams())
def test_every_row_is_accepted_late_or_a_duplicate_and_counted_as_such(batches: list[Batch]) -> None:
    windows, accepted, late, twice, facts = JobWindows(SETTINGS), 0, 0, 0, []
    for batch in batches:
        added = windows.add(batch.rows, ("gradcube.steps", batch.partition))
        assert added.accepted + added.duplicate + len(added.late) == len(batch.rows)
        accepted, late, twice = accepted + added.accepted, late + len(added.late), twice + added.duplicate
        facts += windows.facts(windows.close(batch.watermark), DESCRIPTION)
    facts += finish(windows)
    for kind in ("job", "rank"):
        totals = {
            name: sum(f["METRIC_SUM"] for f in facts if f["METRIC"] == name and f["SUBJECT_KIND"] == kind)
            for name in ("records", "late_records", "duplicate_records")
        }
        assert totals == {"records": accepted, "late_records": late, "duplicate_records": twice}


def test_a_late_row_is_not_given_back_again_by_a_replay() -> None:
    source = ("gradcube.steps", 0)
    first = JobWindows(SETTINGS)
    batches = [make_rows([1]), make_rows([12], first_offset=1), make_rows([2], first_offset=2)]
    first.add(batches[0], source)
    first.close(START + 10 * SECOND)
    first.add(batches[1], source)
    assert len(first.add(batches[2], source).late) == 1
    first.close(START + 20 * SECOND)
    second = JobWindows(SETTINGS)
    second.restore(first.state())
    assert [len(second.add(batch, source).late) for batch in batches] == [0, 0, 0]
    assert np.isclose(
        sum(f["METRIC_SUM"] for f in finish(second) if f["METRIC"] == "late_records" and f["SUBJECT_KIND"] == "rank"), 1
    )
