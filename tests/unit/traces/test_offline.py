"""The offline driver: causal, and with the findings of a live run whatever the batches of that were."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.compute as compute
import pytest
from pyarrow import parquet
from tests.unit.traces.making import slowed_job, text, timed_trace, write
from tests.unit.windows.making import SECOND, START, make_rows

from gradcube.diagnosis import Diagnosis, Finding, catalog
from gradcube.errors import ConfigError
from gradcube.traces import Trace, findings_of, read_trace
from gradcube.traces.offline import looks
from gradcube.windows.rows import StepRows


def seen_at(trace: Trace) -> Iterator[tuple[int, Finding]]:
    """Each finding with the step that was looked at when it was raised."""
    steps = [int(rows.step[0]) for rows in trace.by_step()]
    looked: list[int] = []
    for finding in findings_of(trace, told=looked.append):
        yield steps[len(looked)], finding


@pytest.mark.parametrize("seed", range(2))
def test_a_trace_cut_after_a_detection_has_the_same_findings_up_to_there(tmp_path: Path, seed: int) -> None:
    path = timed_trace(tmp_path / "whole.parquet", ranks=3 + seed, seed=seed)
    whole = list(seen_at(read_trace(path, "bert")))
    assert {finding.state for _, finding in whole} >= {"OPENED", "CLOSED"}
    table = parquet.read_table(path)
    for step in {step for step, _ in whole}:
        cut = tmp_path / "cut.parquet"
        parquet.write_table(table.filter(compute.field("step") <= step), cut)
        assert list(findings_of(read_trace(cut, "bert"))) == [finding for at, finding in whole if at <= step]


def test_nothing_is_detected_before_it_began(tmp_path: Path) -> None:
    for step, finding in seen_at(read_trace(timed_trace(tmp_path / "t.parquet"))):
        assert finding.onset_step <= finding.detected_step <= step


@pytest.mark.parametrize("seed", range(2))
def test_findings_are_those_of_a_live_run_in_any_batches(seed: int) -> None:
    rows = slowed_job()
    offline = list(findings_of(Trace(rows, ())))
    assert [finding.state for finding in offline] == ["OPENED", "CLOSED"]
    assert live(rows, np.random.default_rng(seed)) == offline


def live(rows: StepRows, random: np.random.Generator) -> list[Finding]:
    """Each rank is a partition that is read in batches of its own; the watermark is 5 s behind the slowest."""
    diagnosis, findings = Diagnosis(rows.job, 0, catalog.build()), []
    left = {rank: rows.take(rows.rank == rank) for rank in set(rows.rank.tolist())}
    reached = dict.fromkeys(left, 0)
    while any(map(len, left.values())):
        rank = random.choice([rank for rank in left if len(left[rank])])
        size = int(random.integers(1, 40))
        batch = left[rank].take(np.arange(len(left[rank]))[:size])
        left[rank] = left[rank].take(np.arange(len(left[rank]))[size:])
        findings += diagnosis.add(batch)
        reached[rank] = int(batch.ended_at_micros.max())
        findings += diagnosis.advance(max(0, min(reached.values()) - 5 * SECOND))
    return findings + diagnosis.advance(START + 10_000 * SECOND)


def test_a_rank_that_is_missing_for_a_step_is_not_waited_for() -> None:
    rows = slowed_job()
    whole = rows.take(~((rows.rank == 2) & (rows.step == 40)))
    findings = list(findings_of(Trace(whole, ())))
    assert [(f.subject.rank, f.state) for f in findings] == [(1, "OPENED"), (1, "CLOSED")]


def test_attempts_are_diagnosed_apart() -> None:
    first = slowed_job()
    second = StepRows(**{**vars(first), "attempt": first.attempt + 1})
    findings = list(findings_of(Trace(StepRows.concat([first, second]), ())))
    assert [finding.attempt for finding in findings] == [0, 0, 1, 1]
    assert findings[0].detected_step == findings[2].detected_step
    assert findings[0].id != findings[2].id


def test_thresholds_reach_the_detectors() -> None:
    trace = Trace(slowed_job(), ())
    off = {f"{detector.name}.enabled": "false" for detector in catalog.DETECTORS}
    assert list(findings_of(trace, off)) == []
    with pytest.raises(ConfigError, match=r"straggler\.speed"):
        list(findings_of(trace, {"straggler.speed": "1"}))


@pytest.mark.parametrize("ranks", [1, 2])
def test_one_rank_and_two_ranks_go_through(tmp_path: Path, ranks: int) -> None:
    assert list(findings_of(read_trace(timed_trace(tmp_path / "t.parquet", ranks=ranks, steps=60)))) == []


def test_gaps_nans_and_the_whole_job_alone_go_through(tmp_path: Path) -> None:
    step = np.array([0, 1, 2, 500, 501, 9_000_000_000_000])
    path = write(tmp_path / "t.parquet", step=step, metric="loss", value=[np.nan, 2.0, np.inf, 1.0, None, 1.0])
    told: list[int] = []
    findings = list(findings_of(read_trace(path), told=told.append))
    assert (len(told), sum(told)) == (6, 6)
    # The infinite loss of step 2 is one; a loss that is now and then not known is none.
    assert [(f.kind, f.state, f.onset_step) for f in findings] == [
        ("LOSS_SPIKE", each, 2) for each in ("OPENED", "CLOSED")
    ]
    assert list(findings_of(read_trace(text(tmp_path / "t.csv", "step,metric,value", "0,loss,nan")))) == []


def test_silence_is_looked_at_ever_more_rarely() -> None:
    times = list(looks(0, 3600 * SECOND))
    assert times[0] == 45 * SECOND
    assert times == sorted(set(times))
    assert times[-1] < 3600 * SECOND
    assert len(times) < 70
    assert list(looks(0, 44 * SECOND)) == []


def hung_job() -> StepRows:
    """Of the last step the record of rank 2 never came."""
    rows = slowed_job(60)
    return rows.take(~((rows.rank == 2) & (rows.step == 59)))


def test_a_rank_that_is_missing_at_the_end_hangs_the_job_as_it_does_live() -> None:
    [finding] = findings_of(Trace(hung_job(), ()))
    assert (finding.kind, finding.state, finding.subject.rank) == ("HANG", "OPENED", 2)
    assert live(hung_job(), np.random.default_rng(0)) == [finding]


def test_a_recording_that_ended_in_the_middle_of_a_step_tells_of_no_hang() -> None:
    end = int(hung_job().ended_at_micros.max()) + SECOND
    assert list(findings_of(Trace(hung_job(), (), end))) == []
    assert len(list(findings_of(Trace(hung_job(), (), end + 3600 * SECOND)))) == 1


def test_the_end_of_a_run_is_no_finding() -> None:
    assert list(findings_of(Trace(slowed_job(60), ()))) == []


def test_steps_are_views_of_the_rows() -> None:
    rows = make_rows([0, 0, 1], rank=[0, 1, 0], step=[0, 0, 1])
    first, second = Trace(rows, ()).by_step()
    assert (len(first), len(second)) == (2, 1)
    assert np.shares_memory(first.floats, rows.floats)
