"""The slow-downs that the benchmark puts into runs: the right ranks, steps and size, and nothing else changed."""

import numpy as np
import pytest
from tests.bench.diagnosis.injections import (
    HISTORY_STEPS,
    LEVELS,
    Injection,
    Level,
    Shape,
    choose,
    draw,
    factors,
    inject,
    levels_of,
)
from tests.bench.diagnosis.recordings import Recording
from tests.bench.diagnosis.simulated import Layout, simulate

PIPELINE = Layout("pipeline", 4, 4, 0.005, ranks_per_node=2, steps=80)
WORKERS = Layout("workers", 1, 8, 0.02, waits=False, steps=80)


@pytest.fixture(scope="module")
def pipeline() -> Recording:
    return simulate(PIPELINE, 1)


def test_a_step_slows_the_culprit_alone_and_everyone_waits_for_it(pipeline: Recording) -> None:
    slowed = inject(pipeline, Injection("rank", (13,), "step", 2.0, 40, 80))
    work = slowed.own_seconds() / pipeline.own_seconds()
    assert work[40:, 13] == pytest.approx(2.0, abs=1e-4)
    assert np.delete(work, 13, axis=1) == pytest.approx(1.0, abs=1e-5)
    longer = slowed.grid("step_seconds") - pipeline.grid("step_seconds")
    assert (longer[40:] > 0.3).all()
    assert longer[:40] == pytest.approx(0.0, abs=1e-5)
    waits = slowed.grid("sync_wait_seconds") - pipeline.grid("sync_wait_seconds")
    assert (np.delete(waits[40:], 13, axis=1) > 0.3).all()
    assert slowed.grid("sync_wait_seconds").min() > 0


def test_the_clock_follows_the_longer_steps(pipeline: Recording) -> None:
    slowed = inject(pipeline, Injection("job", tuple(range(16)), "step", 2.0, 40, 80))
    longer = (slowed.rows.ended_at_micros - pipeline.rows.ended_at_micros).reshape(80, 16)
    assert (longer[:40] == 0).all()
    assert (np.diff(longer[39:, 0]) > 300_000).all()


def test_a_worker_of_an_asynchronous_job_keeps_nobody_waiting() -> None:
    run = simulate(WORKERS, 1)
    slowed = inject(run, Injection("rank", (3,), "step", 1.5, 40, 80))
    ratio = slowed.grid("step_seconds") / run.grid("step_seconds")
    assert ratio[40:, 3] == pytest.approx(1.5, abs=1e-4)
    assert np.delete(ratio, 3, axis=1) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("shape", "end", "slow"),
    [
        ("step", 30, [1.5] * 20),
        ("ramp", 30, [1.05, 1.1, 1.15]),
        ("flap", 30, [1.5] * 6 + [1.0] * 4),
        ("burst", 12, [1.5] * 2),
    ],
)
def test_each_shape_has_its_course(shape: Shape, end: int, slow: list[float]) -> None:
    course = factors(Injection("rank", (0,), shape, 1.5, 10, end), 40)
    assert course[10 : 10 + len(slow)] == pytest.approx(slow)
    assert (course[:10] == 1).all()
    assert (course[end:] == 1).all()


@pytest.mark.parametrize("level", LEVELS)
def test_a_draw_leaves_history_and_follows_its_seed(pipeline: Recording, level: Level) -> None:
    for seed in range(20):
        first, again = (draw(pipeline, level, "step", 1.1, np.random.default_rng(seed)) for _ in range(2))
        assert first == again
        assert HISTORY_STEPS <= first.onset < first.end <= pipeline.num_steps


def test_culprits_of_each_level_are_a_group_that_can_be_told_apart(pipeline: Recording) -> None:
    for seed in range(20):
        chosen = {level: choose(pipeline, level, np.random.default_rng(seed)) for level in LEVELS}
        assert len(chosen["rank"]) == 1
        assert len(set(pipeline.stage[list(chosen["ranks"])])) == len(chosen["ranks"]) > 1
        assert len(set(pipeline.rows.node[list(chosen["node"])])) == 1
        assert len(set(pipeline.stage[list(chosen["stage"])])) == 1
        assert len(chosen["stage"]) == 4
        assert chosen["job"] == tuple(range(16))


def test_a_job_of_one_stage_has_no_stage_to_slow() -> None:
    assert levels_of(simulate(WORKERS, 1)) == ("rank", "ranks", "job")


def test_a_recording_without_a_rank_keeps_the_numbers_of_the_others(pipeline: Recording) -> None:
    left = pipeline.without_ranks((5,))
    assert left.num_ranks == 15
    np.testing.assert_array_equal(left.own_seconds(), np.delete(pipeline.own_seconds(), 5, axis=1))
