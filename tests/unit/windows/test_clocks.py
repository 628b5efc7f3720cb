import numpy as np
import pytest
from tests.unit.windows.making import SECOND, START, make_rows

from gradcube.events import Fact
from gradcube.windows import JobDescription, JobWindows, StepRows, WindowSettings
from gradcube.windows.clocks import Clocks

SETTINGS = WindowSettings(subject_window_seconds=10)
TEN_MINUTES = 600 * SECOND


def seconds_of_run(rank: int, start: float, *, ahead_micros: int = 0, steps: int = 20, first: int = 0) -> StepRows:
    """A second of steps of one rank whose clock is `ahead_micros` off; the broker has each 20 ms after its end."""
    seconds = [start + at / steps for at in range(steps)]
    true = START + np.round(np.array(seconds) * SECOND).astype(np.int64)
    return make_rows(
        seconds, rank=rank, first_offset=first, ended_at_micros=true + ahead_micros, appended_at_micros=true + 20_000
    )


def run_job(ahead_micros: int, seconds: int = 30) -> tuple[list[Fact], int]:
    """Three ranks, of which rank 2's clock is off; facts after a watermark that follows the events."""
    windows, late, facts = JobWindows(SETTINGS), 0, []
    for second in range(seconds):
        latest = []
        for rank in range(3):
            rows = seconds_of_run(rank, second, ahead_micros=ahead_micros * (rank == 2), first=second * 20)
            added = windows.add(rows, ("gradcube.steps", rank))
            late += len(added.late)
            latest.append(added.max_event_micros)
        facts += windows.facts(windows.close(min(latest) - SECOND), JobDescription("bert"))
    facts += windows.facts(windows.close(START + 10_000 * SECOND), JobDescription("bert"))
    return facts, late


@pytest.mark.parametrize("ahead_micros", [TEN_MINUTES, -TEN_MINUTES])
def test_a_clock_ten_minutes_off_neither_stalls_nor_loses_records(ahead_micros: int) -> None:
    facts, late = run_job(ahead_micros)
    assert late == 0
    records = {
        f["TS"]: f["METRIC_VALUE"]
        for f in facts
        if (f["METRIC"], f["SUBJECT"], f["SUBJECT_KIND"]) == ("records", "2", "rank")
    }
    assert sum(records.values()) == 600
    assert set(records) <= {START // 1000 + at for at in (0, 10_000, 20_000, 30_000)}, "in the windows they belong to"


@pytest.mark.parametrize("ahead_micros", [TEN_MINUTES, -TEN_MINUTES])
def test_the_correction_is_shown(ahead_micros: int) -> None:
    facts, _ = run_job(ahead_micros)
    skews = {
        f["SUBJECT"]: f["METRIC_VALUE"]
        for f in facts
        if (f["METRIC"], f["SUBJECT_KIND"]) == ("clock_skew_seconds", "rank")
    }
    assert skews["2"] == pytest.approx(ahead_micros / SECOND, abs=0.1)
    assert "0" not in skews


def test_right_clocks_are_left_alone() -> None:
    facts, _ = run_job(0)
    assert not [f for f in facts if f["METRIC"] == "clock_skew_seconds"]


def corrected(clocks: Clocks, rows: StepRows, partition: int) -> np.ndarray:
    source = ("gradcube.steps", partition)
    event = clocks.event_micros(
        source, rows.attempt, rows.rank, rows.ended_at_micros, rows.appended_at_micros, rows.offset
    )
    return event - rows.ended_at_micros


def test_a_backlog_of_all_is_not_a_wrong_clock() -> None:
    clocks = Clocks(grace_seconds=5)
    for second in range(40):
        for rank in range(3):
            rows = make_rows(
                [second + 0.1, second + 0.5, second + 0.9], rank=rank, first_offset=second * 3,
                appended_at_micros=START + 60 * SECOND,
            )  # fmt: skip
            assert not corrected(clocks, rows, rank).any()


def test_one_rank_that_drains_its_backlog_is_not_a_wrong_clock() -> None:
    clocks = Clocks(grace_seconds=5)
    for rank in range(3):
        corrected(clocks, seconds_of_run(rank, 0), rank)
    for second in range(1, 40):
        rows = make_rows(
            [second + at / 20 for at in range(20)],
            rank=2,
            first_offset=second * 20,
            appended_at_micros=START + 60 * SECOND,
        )
        assert not corrected(clocks, rows, 2).any()


def test_a_clock_that_is_put_right_is_believed_again() -> None:
    clocks = Clocks(grace_seconds=5)
    for rank in (0, 1):
        corrected(clocks, seconds_of_run(rank, 0), rank)
    assert corrected(clocks, seconds_of_run(2, 0, ahead_micros=-TEN_MINUTES), 2).all()
    first = 20
    for second in range(1, 5):
        shift = corrected(clocks, seconds_of_run(2, second, first=first), 2)
        first += 20
    assert not shift.any()


def test_a_replay_corrects_the_same_rows_by_as_much() -> None:
    clocks = Clocks(grace_seconds=5)
    for rank in (0, 1):
        corrected(clocks, seconds_of_run(rank, 0), rank)
    off = [seconds_of_run(2, second, ahead_micros=-TEN_MINUTES, first=second * 20) for second in range(5)]
    shifts = [corrected(clocks, rows, 2) for rows in off]
    again = Clocks(grace_seconds=5)
    again.restore(clocks.state())
    for rows, shift in zip(off, shifts, strict=True):
        np.testing.assert_array_equal(corrected(again, rows, 2), shift)
