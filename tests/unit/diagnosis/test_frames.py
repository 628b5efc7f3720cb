import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.windows.making import SECOND, START, make_rows

from gradcube.diagnosis import StepAssembler, StepFrame
from gradcube.windows import StepRows

FAR = START + 10_000 * SECOND


def rows_of(steps: list[int], ranks: list[int], attempt: int = 0) -> StepRows:
    """One row for each (step, rank) pair, a step a second."""
    loss = [step * 10.0 + rank for step, rank in zip(steps, ranks, strict=True)]
    return make_rows([float(s) for s in steps], rank=ranks, step=steps, seq=steps, loss=loss, attempt=attempt)


def grid(steps: int, ranks: int) -> StepRows:
    pairs = [(step, rank) for step in range(steps) for rank in range(ranks)]
    return rows_of([step for step, _ in pairs], [rank for _, rank in pairs])


def settled(ranks: int) -> StepAssembler:
    """An assembler that has seen step 0 of all ranks."""
    assembler = StepAssembler("bert", 0)
    assembler.add(rows_of([0] * ranks, list(range(ranks))))
    assert [frame.step for frame in assembler.advance(START)] == [0]
    return assembler


def summary(frames: list[StepFrame]) -> list[tuple[int, list[int]]]:
    return [(frame.step, frame.rank.tolist()) for frame in frames]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 8), st.integers(1, 4), st.randoms(use_true_random=False), st.integers(1, 6))
def test_order_of_arrival_does_not_matter(steps: int, ranks: int, random: object, size: int) -> None:
    rows = grid(steps, ranks)
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assembler = StepAssembler("bert", 0)
    frames = []
    for start in range(0, len(order), size):
        frames += assembler.add(rows.take(np.array(order[start : start + size])))
    frames += assembler.advance(FAR)
    assert summary(frames) == [(step, list(range(ranks))) for step in range(steps)]
    for frame in frames:
        np.testing.assert_array_equal(frame.floats[:, 7], frame.step * 10.0 + frame.rank)


def test_nothing_goes_out_before_the_ranks_are_known() -> None:
    assembler = StepAssembler("bert", 0)
    assert assembler.add(rows_of([0, 1, 2], [0, 0, 0])) == []
    assert assembler.add(rows_of([0, 1, 2], [1, 1, 1])) == []
    assert summary(assembler.advance(START)) == [(step, [0, 1]) for step in range(3)]


def test_a_complete_step_does_not_wait_for_the_watermark() -> None:
    assembler = settled(2)
    assert assembler.add(rows_of([1], [0])) == []
    assert summary(assembler.add(rows_of([1], [1]))) == [(1, [0, 1])]


def test_a_step_is_not_given_before_an_earlier_one() -> None:
    assembler = settled(2)
    assert assembler.add(rows_of([1, 2, 2], [0, 0, 1])) == []
    assert summary(assembler.add(rows_of([1], [1]))) == [(1, [0, 1]), (2, [0, 1])]


def test_an_overdue_step_goes_out_without_the_missing_rank() -> None:
    assembler = settled(2)
    assembler.add(rows_of([1], [0]))
    assert summary(assembler.advance(START + SECOND)) == [(1, [0])]


def test_a_lost_rank_is_no_longer_waited_for_and_may_come_back() -> None:
    assembler = settled(2)
    assembler.add(rows_of([1, 2, 3], [0, 0, 0]))
    assembler.advance(START + 3 * SECOND)
    assert summary(assembler.add(rows_of([4], [0]))) == [(4, [0])]
    assembler.add(rows_of([5], [1]))
    assert summary(assembler.add(rows_of([5], [0]))) == [(5, [0, 1])]
    assert assembler.add(rows_of([6], [0])) == [], "both are waited for again"


def test_a_record_for_a_step_that_is_out_is_counted() -> None:
    assembler = settled(2)
    assembler.add(rows_of([1], [0]))
    assembler.advance(START + SECOND)
    assert assembler.add(rows_of([1], [1])) == []
    assert assembler.missed == 1


def test_a_record_sent_twice_is_one_row_of_the_frame() -> None:
    assembler = settled(2)
    assert summary(assembler.add(rows_of([1, 1, 1], [0, 0, 1]))) == [(1, [0, 1])]


def test_rows_of_another_attempt_are_left_out() -> None:
    assembler = settled(2)
    assert assembler.add(rows_of([1, 1], [0, 1], attempt=1)) == []
    assert summary(assembler.add(rows_of([1, 1], [0, 1]))) == [(1, [0, 1])]


def test_no_more_than_the_limit_is_held() -> None:
    assembler = StepAssembler("bert", 0, max_pending_rows=5)
    frames = assembler.add(rows_of(list(range(12)), [0] * 12))
    assert [frame.step for frame in frames][:7] == list(range(7))


def test_a_backlog_that_comes_rank_by_rank_gives_whole_steps() -> None:
    assembler, steps = settled(2), list(range(1, 3001))
    assert assembler.add(rows_of(steps, [0] * len(steps))) == []
    frames = assembler.add(rows_of(steps, [1] * len(steps)))
    assert [(frame.step, frame.rank.tolist()) for frame in frames] == [(step, [0, 1]) for step in steps]


def test_one_wrong_clock_does_not_move_the_time_of_the_step() -> None:
    assembler = StepAssembler("bert", 0)
    rows = make_rows([1, 1, 1], rank=[0, 1, 2], step=0, ended_at_micros=[START, START + 600 * SECOND, START])
    assembler.add(rows)
    assert [frame.at_micros for frame in assembler.advance(START + SECOND)] == [START]


def test_a_column_is_made_once_and_cannot_be_written_to() -> None:
    assembler = StepAssembler("bert", 0)
    assembler.add(rows_of([0, 0], [0, 1]))
    [frame] = assembler.advance(START)
    loss = frame.column("loss")
    assert loss.tolist() == [0.0, 1.0]
    assert frame.column("loss") is loss
    assert not loss.flags.writeable
    assert not frame.column("tokens").flags.writeable


def test_a_median_is_that_of_the_ranks_that_measured() -> None:
    assembler = StepAssembler("bert", 0)
    assembler.add(make_rows([1, 1, 1, 1], rank=[0, 1, 2, 3], step=0, loss=[1.0, np.nan, np.inf, 4.0]))
    [frame] = assembler.advance(START + SECOND)
    assert frame.median("loss") == 2.5
    assert np.isnan(frame.median("tokens"))


def test_the_first_of_two_records_is_kept_in_whatever_order_the_steps_come() -> None:
    assembler = settled(2)
    rows = rows_of([3, 1, 2, 1, 3, 2, 1], [0, 1, 0, 0, 1, 1, 1])
    rows.floats[6, 7] = 99.0  # the second record of step 1 and rank 1
    frames = assembler.add(rows)
    assert summary(frames) == [(step, [0, 1]) for step in (1, 2, 3)]
    assert [frame.column("loss").tolist() for frame in frames] == [[10.0, 11.0], [20.0, 21.0], [30.0, 31.0]]


def test_what_is_waited_for_is_known_without_a_copy_of_all_ranks() -> None:
    assembler = settled(3)
    assembler.add(rows_of([1], [1]))
    waiting = assembler.waiting()
    assert (waiting.step, waiting.last_step, waiting.missing) == (1, 0, {0, 2})
    assert waiting.known is assembler.waiting().known
