"""Percentiles and ratios of ranks, stages and jobs, against exact numbers over partitions and panes."""

import numpy as np
import pytest
from tests.unit.windows.making import (
    facts_of,
    make_evaluations,
    make_resources,
    make_rows,
    make_servers,
    one,
    value,
)

from gradcube.windows import WindowSettings
from gradcube.windows.samples import TIMINGS
from gradcube.windows.sketch import RELATIVE_ERROR

MINUTE = WindowSettings(subject_window_seconds=60)
RANKS, STEPS = 6, 200


def stage_of(rank: int) -> int:
    return rank % 2


@pytest.fixture(scope="module")
def seconds() -> np.ndarray:
    """(ranks, steps), of another level on each rank."""
    rng = np.random.default_rng(11)
    return (rng.lognormal(-3, 0.8, (RANKS, STEPS)) * (1 + np.arange(RANKS))[:, None]).astype(np.float32)


def minute(seconds: np.ndarray, name: str) -> list:
    """One partition a rank, over all panes of a minute."""
    at = [0.25 * step for step in range(STEPS)]
    batches = [
        make_rows(at, rank=rank, stage=stage_of(rank), **{name: seconds[rank]})  # type: ignore[arg-type]
        for rank in range(RANKS)
    ]
    return facts_of(*batches, settings=MINUTE)


@pytest.mark.parametrize("name", TIMINGS)
def test_every_phase_has_percentiles_and_a_maximum_of_each_rank_and_stage(seconds: np.ndarray, name: str) -> None:
    facts = minute(seconds, name)
    of_stage = {str(stage): seconds[stage::2].ravel() for stage in (0, 1)}
    of_rank = {str(rank): seconds[rank] for rank in range(RANKS)}
    for kind, samples in (("rank", of_rank), ("stage", of_stage)):
        for subject, exact in samples.items():
            for percent in (50, 95, 99):
                found = value(facts, f"{name}_p{percent}", kind, subject=subject)
                wanted = np.quantile(exact, percent / 100, method="lower")
                assert found == pytest.approx(wanted, rel=RELATIVE_ERROR * 1.001), (kind, subject, percent)
            assert one(facts, name, kind, subject=subject)["METRIC_MAX"] == exact.max()
            assert value(facts, name, kind, subject=subject) == pytest.approx(exact.astype(float).mean())


def test_a_rank_has_a_percentile_only_where_it_differs_from_the_greatest() -> None:
    facts = facts_of(make_rows([1 + at / 10 for at in range(20)], step_seconds=0.1))
    of_rank = {f["METRIC"] for f in facts if f["SUBJECT_KIND"] == "rank"}
    of_stage = {f["METRIC"] for f in facts if f["SUBJECT_KIND"] == "stage"}
    assert of_rank >= {"step_seconds_p50", "step_seconds_p95"}
    assert "step_seconds_p99" not in of_rank
    assert "step_seconds_p99" in of_stage


def test_a_stage_knows_its_number_and_all_its_ranks() -> None:
    rows = make_rows([1] * 4, rank=[0, 1, 2, 3], stage=[0, 0, 1, 1], seq=0, tokens=[1, 2, 4, 8], loss=[1.0, 3, 5, 9])
    facts = facts_of(rows)
    assert one(facts, "loss", "stage", subject="1")["STAGE"] == 1
    assert value(facts, "loss", "stage", subject="1") == 7.0
    assert one(facts, "tokens_per_second", "stage", subject="1")["METRIC_SUM"] == 12


def test_tokens_of_a_pipeline_count_once_and_not_once_a_stage() -> None:
    rows = make_rows([1] * 4, rank=[0, 1, 2, 3], stage=[0, 0, 1, 1], seq=0, tokens=100, samples=[1, 1, -1, -1])
    facts = facts_of(rows)
    assert one(facts, "tokens_per_second")["METRIC_SUM"] == 200
    assert one(facts, "samples_per_second")["METRIC_SUM"] == 2


def test_straggle_of_a_stage_is_that_of_its_worst_rank() -> None:
    compute = [0.1, 0.1, 0.3, 0.9, 0.9, 0.9]
    rows = make_rows(
        [1] * 6, rank=list(range(6)), stage=[0] * 3 + [1] * 3, seq=0, forward_seconds=compute, backward_seconds=0.0
    )
    facts = facts_of(rows)
    assert value(facts, "straggle_ratio", "stage", subject="0") == pytest.approx(3.0)
    assert value(facts, "straggle_ratio", "stage", subject="1") == pytest.approx(1.0)
    assert value(facts, "straggle_ratio") == pytest.approx(3.0)


def test_version_lag_is_behind_the_newest_version_of_any_rank() -> None:
    facts = facts_of(make_rows([1, 2, 3, 3], rank=[0, 0, 1, 2], seq=[0, 1, 0, 0], version=[4, 9, 6, -1]))
    assert value(facts, "version_lag", "rank", subject="0") == 0
    assert value(facts, "version_lag", "rank", subject="1") == 3
    assert value(facts, "version_lag") == 3
    assert not [f for f in facts if (f["METRIC"], f["SUBJECT"]) == ("version_lag", "2")], "unknown is not 0"


def test_no_two_facts_of_a_run_with_everything_share_an_id() -> None:
    rows = make_rows(
        [1, 1, 2, 2], rank=[0, 1, 0, 1], seq=[0, 0, 1, 1], loss=1.0, step_seconds=0.5, grad_norm=1.0, tokens=4,
        global_grad_norm=0.8, staleness=1, version=[1, 2, 3, 4],
    )  # fmt: skip
    facts = facts_of(
        rows,
        make_resources([1], cpu_utilization_ratio=0.5),
        make_resources([1], rank=1, gpu_power_watts=300.0, gpu_ecc_errors_total=1),
        make_servers([1], apply_seconds=0.1, pushes=2, dropped_updates=1, staleness_max=1),
        make_evaluations([1, 1], ["loss", "f1"], [2.0, 0.5]),
    )
    ids = [fact["FACT_ID"] for fact in facts]
    assert len(ids) == len(set(ids))
    assert {fact["SUBJECT_KIND"] for fact in facts} == {"job", "stage", "rank", "node", "shard", "dataset"}
