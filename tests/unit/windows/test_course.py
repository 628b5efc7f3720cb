"""What a window knows of those before it, computed by hand; and the same over any number of restarts."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.unit.windows.making import (
    SECOND,
    START,
    add,
    facts_of,
    make_evaluations,
    make_resources,
    make_rows,
    make_servers,
    one,
    value,
)

from gradcube.events import Fact
from gradcube.windows import JobDescription, JobWindows, StepRows, WindowSettings
from gradcube.windows.history import STEPS, History, robust_z


def test_best_so_far_holds_when_it_gets_worse_and_over_attempts() -> None:
    first = make_rows([1, 11], loss=[3.0, 2.0], correct=[5, 4], predicted=10)
    again = make_rows([21, 31], attempt=1, loss=[2.5, 1.0], correct=[6, 1], predicted=10)
    facts = facts_of(first, again)
    assert [value(facts, "best_loss", at=at) for at in (0, 10, 20, 30)] == [3.0, 2.0, 2.0, 1.0]
    assert [value(facts, "best_masked_accuracy_ratio", at=at) for at in (0, 10, 20, 30)] == [0.5, 0.5, 0.6, 0.6]


def test_ettr_is_the_time_of_new_steps_over_all_time_since_the_first_window() -> None:
    first = make_rows([2, 4, 6, 8], step_seconds=2.0)
    idle_then_again = make_rows([22, 24, 26, 28], attempt=1, step=[2, 3, 4, 5], step_seconds=2.0)
    facts = facts_of(first, idle_then_again)
    assert value(facts, "ettr_ratio") == pytest.approx(0.8)
    assert value(facts, "ettr_ratio", at=20) == pytest.approx((8 + 4) / 30), "two steps were done before"
    assert value(facts, "ettr_1h_ratio", at=20) == pytest.approx((8 + 4) / 30)
    assert one(facts, "ettr_ratio", at=20)["METRIC_SUM"] == 12


def test_ettr_of_the_last_hour_forgets_what_was_before() -> None:
    lost = make_rows([1], step_seconds=1.0)
    steps = 1 + np.arange(120)
    since = make_rows(
        [7200 + 60 * at + 59 for at in range(120)], step=steps, seq=steps, first_offset=1, step_seconds=60
    )
    facts = facts_of(lost, since, until=20_000, settings=WindowSettings(60, 60, 60))
    last = 7200 + 119 * 60
    assert value(facts, "ettr_ratio", at=last) == pytest.approx(7201 / 14_400)
    assert value(facts, "ettr_1h_ratio", at=last) == pytest.approx(1.0)


def test_without_step_times_there_is_no_effective_time() -> None:
    assert "ettr_ratio" not in {fact["METRIC"] for fact in facts_of(make_rows([1, 2], loss=1.0))}


def test_restarts_count_once_and_their_sum_is_how_many_there_were() -> None:
    facts = facts_of(make_rows([1]), make_rows([11, 21], attempt=2, step=[1, 2]))
    restarts = [f for f in facts if f["METRIC"] == "restarts"]
    assert [(f["ATTEMPT"], f["METRIC_VALUE"], f["METRIC_SUM"]) for f in restarts] == [(0, 0, 0), (2, 2, 1), (2, 2, 0)]


def test_slow_down_is_actual_over_evenly_shared_time_also_when_the_slow_rank_changes() -> None:
    ranks, steps = 4, 8
    busy = np.full((steps, ranks), 0.6)
    busy[np.arange(steps), np.arange(steps) % ranks] = 1.0  # another rank each step: no mean of ranks shows it
    step = np.repeat(np.arange(steps), ranks)
    rows = make_rows(
        list(1 + step / 10), rank=np.tile(np.arange(ranks), steps).tolist(), step=step, seq=step, step_seconds=1.2,
        sync_wait_seconds=1.2 - busy.ravel(),
    )  # fmt: skip
    facts = facts_of(rows)
    assert value(facts, "slow_down_ratio") == pytest.approx(1.2 / (1.2 - (1.0 - 0.7)))


def test_no_slow_down_where_all_work_alike() -> None:
    rows = make_rows([1, 1], rank=[0, 1], seq=0, step=0, step_seconds=1.0, sync_wait_seconds=0.25)
    assert value(facts_of(rows), "slow_down_ratio") == pytest.approx(1.0)


def losses(values: np.ndarray, name: str = "loss") -> list[Fact]:
    """One rank, 10 steps a window."""
    return facts_of(make_rows([at + 0.5 for at in range(len(values))], **{name: values}), until=10_000)


def test_robust_z_is_against_the_steps_before_the_window() -> None:
    noise = 2 + np.random.default_rng(2).normal(0, 0.01, 110)
    noise[105] = 3.0
    found = one(losses(noise), "loss_robust_z", at=100)
    before, window = noise[:100].astype(np.float32), noise[100:].astype(np.float32)
    wanted = (window - np.median(before)) / (1.4826 * np.median(np.abs(before - np.median(before))))
    assert found["METRIC_VALUE"] == found["METRIC_MAX"] == pytest.approx(wanted.max(), rel=1e-3)
    assert found["METRIC_MIN"] == pytest.approx(wanted.min(), rel=1e-3)
    assert found["METRIC_SUM"] == pytest.approx(wanted.sum(), rel=1e-3)
    assert found["SAMPLES"] == 10
    assert not [f for f in losses(noise) if f["METRIC"] == "loss_robust_z" and f["TS"] < START // 1000 + 64_000]


@pytest.mark.parametrize("name", ["loss", "grad_norm"])
def test_spikes_are_counted_and_healthy_noise_has_none(name: str) -> None:
    noise = 2 + np.random.default_rng(4).normal(0, 0.05, 400)
    metric = f"{name}_spike_ratio"
    assert {f["METRIC_SUM"] for f in losses(noise, name) if f["METRIC"] == metric} == {0.0}
    noise[[205, 207]] += 1.0
    facts = losses(noise, name)
    assert (one(facts, metric, at=200)["METRIC_VALUE"], one(facts, metric, at=200)["METRIC_SUM"]) == (0.2, 2.0)
    assert sum(f["METRIC_SUM"] for f in facts if f["METRIC"] == metric) == 2


def test_a_curve_that_never_changes_has_no_spike_and_no_z() -> None:
    found = {fact["METRIC"]: fact["METRIC_VALUE"] for fact in losses(np.full(200, 1.5))}
    assert found["loss_spike_ratio"] == 0
    assert "loss_robust_z" not in found


def test_the_slope_is_that_of_the_last_steps_and_a_plateau_has_none() -> None:
    rng = np.random.default_rng(6)
    falling = 5 - 0.004 * np.arange(600) + rng.normal(0, 0.02, 600)
    flat = 2 + rng.normal(0, 0.02, 600)
    facts = losses(np.concatenate([falling, flat]))
    assert value(facts, "loss_slope_per_1000_steps", at=590) == pytest.approx(-4.0, rel=0.02)
    assert value(facts, "loss_slope_t", at=590) < -50
    assert abs(value(facts, "loss_slope_t", at=1190)) < 3


def test_a_history_keeps_its_last_steps_and_survives_as_text() -> None:
    history = History()
    history.advance(np.arange(1000.0))
    again = History(history.state())
    assert again.advance(np.array([5.0])) == history.advance(np.array([5.0]))
    assert len(history.state()) < 1400
    assert STEPS == 256


def test_robust_z_of_known_numbers() -> None:
    assert robust_z(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([3.0 + 1.4826]))[0] == pytest.approx(1.0)


def test_convergence_is_the_update_ratio_over_the_greatest_so_far() -> None:
    facts = facts_of(make_rows([1, 11, 21], update_norm=[1.0, 4.0, 1.0], param_norm=100.0))
    assert [value(facts, "parameter_convergence_ratio", at=at) for at in (0, 10, 20)] == pytest.approx([1.0, 1.0, 0.25])


def test_outputs_are_reliable_where_every_number_is_one() -> None:
    rows = make_rows([1, 2, 3, 4], loss=[1.0, np.inf, 1.0, 1.0], grad_norm=1.0, nonfinite=[0, 0, 3, 0])
    assert value(facts_of(rows), "reliable_output_ratio") == 0.5


def batches(seed: int) -> list[tuple[int, Any]]:
    """(partition, rows) of all topics, as they come in: two attempts of three ranks, evaluations, samples, versions."""
    rng = np.random.default_rng(seed)
    found: list[tuple[int, Any]] = []
    for place, second in enumerate(range(0, 60, 3)):
        attempt = int(second >= 33)
        steps = np.arange(second * 2, second * 2 + 6) - 9 * attempt
        at = [30.0 + second + half / 2 for half in range(6)]
        found += [(rank, steps_of(rng, rank, attempt, at, steps, 6 * place)) for rank in range(3)]
        servers = make_servers(at[:1], pushes=3, dropped_updates=int(rng.integers(0, 2)), apply_seconds=0.1)
        samples = make_resources(at[:1], rank=1, cpu_utilization_ratio=0.5)
        found += [(0, replace(servers, offset=np.array([place]))), (0, replace(samples, offset=np.array([place])))]
        if place % 3 == 0:
            metrics, values = ["loss", "f1"], [rng.normal(2, 0.1), rng.uniform()]
            found.append((0, make_evaluations(at[:2], metrics, values, attempt=attempt, first_offset=place)))
    return found


def steps_of(rng: Any, rank: int, attempt: int, at: list[float], steps: np.ndarray, first_offset: int) -> StepRows:
    noise = {
        name: rng.uniform(0.1, 1, len(at)).astype(np.float32)
        for name in ("loss", "step_seconds", "sync_wait_seconds", "grad_norm", "update_norm")
    }
    return make_rows(
        at, rank=rank, attempt=attempt, first_offset=first_offset, step=steps, seq=steps, node=f"node-{rank}",
        correct=rng.integers(0, 9, len(at)), predicted=10, param_norm=50.0, global_grad_norm=0.7, tokens=64, samples=4,
        version=steps, staleness=1, **noise,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_any_kills_leave_the_facts_of_an_undisturbed_run(seed: int) -> None:
    settings, description = WindowSettings(subject_window_seconds=30), JobDescription("bert")
    stream, rng = batches(seed), np.random.default_rng(1000 + seed)
    whole, wanted = JobWindows(settings, "bert"), []
    windows, found, saved, begun = JobWindows(settings, "bert"), [], None, 0
    newest: list[int | None] = []
    for position, (partition, rows) in enumerate(stream):
        watermark = int(rows.ended_at_micros.max()) - 7 * SECOND
        add(whole, rows, partition)
        wanted += whole.facts(whole.close(watermark), description)
        newest.append(add(windows, rows, partition).newest_pane_micros)
        closed = windows.close(watermark)
        if closed:
            found += windows.facts(closed, description)
            saved, begun = json.dumps(windows.state()), position + 1
        if saved and rng.random() < 0.1:
            windows = JobWindows(settings, "bert")
            windows.restore(json.loads(saved))
            unwritten = windows.unwritten_from_micros
            first = next((at for at in range(begun) if newest[at] is not None and newest[at] >= unwritten), begun)
            for again in range(first, position + 1):
                add(windows, stream[again][1], stream[again][0])
    wanted += whole.facts(whole.close(START + 1000 * SECOND), description)
    found += windows.facts(windows.close(START + 1000 * SECOND), description)
    by_id = {fact["FACT_ID"]: fact for fact in found}
    assert len(by_id) == len(found) == len(wanted)
    for fact in wanted:
        again = by_id[fact["FACT_ID"]]
        for name in ("METRIC_VALUE", "METRIC_SUM", "METRIC_MIN", "METRIC_MAX"):
            assert again[name] == pytest.approx(fact[name], rel=1e-9, abs=1e-12), fact  # type: ignore[literal-required]
        assert again["SAMPLES"] == fact["SAMPLES"]


def test_the_state_of_a_release_that_saved_less_is_taken_over() -> None:
    windows = JobWindows(WindowSettings(), "bert")
    windows.add(make_rows([1, 12], step_seconds=1.0), ("gradcube.steps", 0))
    windows.close(START + 10 * SECOND)
    state = windows.state()
    state["progress"] = state.pop("course")["progress"]
    again = JobWindows(WindowSettings(), "bert")
    again.restore(json.loads(json.dumps(state)))
    assert again.state()["course"]["progress"] == state["progress"]
