"""Each metric's formula, against numbers computed by hand or by numpy from the rows."""

import numpy as np
import pytest
from tests.unit.windows.making import facts_of, make_resources, make_rows, one

from gradcube.windows.samples import TIMINGS
from gradcube.windows.sketch import RELATIVE_ERROR


def test_accuracy_is_all_correct_over_all_predicted_tokens() -> None:
    facts = facts_of(make_rows([1, 2], correct=[1, 90], predicted=[10, 100]))
    accuracy = one(facts, "masked_accuracy_ratio")
    assert accuracy["METRIC_VALUE"] == pytest.approx(91 / 110)
    assert (accuracy["METRIC_SUM"], accuracy["SAMPLES"]) == (91, 110)
    assert (accuracy["METRIC_MIN"], accuracy["METRIC_MAX"]) == (pytest.approx(0.1), pytest.approx(0.9))
    assert one(facts, "correct_tokens")["METRIC_VALUE"] == 91
    assert one(facts, "predicted_tokens")["METRIC_VALUE"] == 110


def test_a_record_without_predictions_has_no_accuracy() -> None:
    facts = facts_of(make_rows([1, 2], correct=[-1, 0], predicted=[-1, 0]))
    assert "masked_accuracy_ratio" not in {f["METRIC"] for f in facts}


def test_perplexity_is_exp_of_the_mean_loss_and_always_a_number() -> None:
    assert one(facts_of(make_rows([1, 2], loss=[1.0, 3.0])), "perplexity")["METRIC_VALUE"] == pytest.approx(np.exp(2))
    assert np.isfinite(one(facts_of(make_rows([1], loss=1e30)), "perplexity")["METRIC_VALUE"])


@pytest.mark.parametrize("name", TIMINGS)
def test_times_have_mean_and_percentiles_within_the_stated_error(name: str) -> None:
    seconds = np.random.default_rng(5).lognormal(-3, 1, 400).astype(np.float32)
    facts = facts_of(
        make_rows([1 + at / 100 for at in range(200)], rank=0, **{name: seconds[:200]}),
        make_rows([1 + at / 100 for at in range(200)], rank=1, **{name: seconds[200:]}),
    )
    assert one(facts, name)["METRIC_VALUE"] == pytest.approx(seconds.astype(float).mean())
    for percent in (50, 95, 99):
        exact = np.quantile(seconds, percent / 100, method="lower")
        assert one(facts, f"{name}_p{percent}")["METRIC_VALUE"] == pytest.approx(exact, rel=RELATIVE_ERROR * 1.001)


def test_compute_is_forward_and_backward_where_both_are_known() -> None:
    rows = make_rows([1, 2], forward_seconds=[0.1, np.nan], backward_seconds=[0.2, 0.5])
    compute = one(facts_of(rows), "compute_seconds")
    assert (compute["METRIC_VALUE"], compute["SAMPLES"]) == (pytest.approx(0.3), 1)


def test_sync_wait_ratio_is_the_mean_share_of_the_step() -> None:
    rows = make_rows([1, 2], sync_wait_seconds=[0.1, 0.3], step_seconds=[0.2, 0.4])
    assert one(facts_of(rows), "sync_wait_ratio")["METRIC_VALUE"] == pytest.approx(0.625)


def test_throughput_is_per_second_of_the_window() -> None:
    facts = facts_of(make_rows([1, 2], tokens=[100, 300], samples=[1, 3]))
    assert one(facts, "tokens_per_second")["METRIC_VALUE"] == 40
    assert one(facts, "tokens_per_second")["METRIC_SUM"] == 400
    assert one(facts, "samples_per_second")["METRIC_VALUE"] == 0.4


def test_a_step_counts_once_however_many_ranks_end_it_and_in_whatever_window() -> None:
    rows = make_rows([1, 2, 9, 11, 12], rank=[0, 1, 0, 1, 0], step=[0, 0, 1, 1, 2], seq=range(5), step_seconds=0.1)
    facts = facts_of(rows)
    assert one(facts, "steps_per_second")["METRIC_SUM"] == 2
    assert one(facts, "steps_per_second", at=10)["METRIC_SUM"] == 1


def test_goodput_is_the_time_of_new_steps_and_repeated_ones_are_none() -> None:
    first = make_rows([1, 3, 5], step=[0, 1, 2], step_seconds=2.0)
    again = make_rows([11, 13, 15, 17], step=[1, 2, 3, 4], attempt=1, step_seconds=2.0)
    facts = facts_of(first, again)
    assert one(facts, "goodput_ratio")["METRIC_VALUE"] == pytest.approx(0.6, rel=0.011)
    assert one(facts, "goodput_ratio", at=10)["METRIC_VALUE"] == pytest.approx(0.4, rel=0.011)
    assert one(facts, "steps_per_second", at=10)["METRIC_SUM"] == 4


def test_goodput_is_never_more_than_all_of_the_time() -> None:
    assert one(facts_of(make_rows([1, 2], step_seconds=60.0)), "goodput_ratio")["METRIC_VALUE"] == 1.0


def test_straggle_is_the_worst_rank_over_the_median_of_its_stage_peers() -> None:
    compute = [0.1, 0.1, 0.1, 0.2, 0.9, 0.9, 0.9]
    rows = make_rows(
        [1] * 7, rank=list(range(7)), stage=[0] * 4 + [1] * 3, seq=0, forward_seconds=compute, backward_seconds=0.0
    )
    facts = facts_of(rows)
    assert one(facts, "straggle_ratio")["METRIC_VALUE"] == pytest.approx(2.0)
    by_rank = {
        f["SUBJECT"]: f["METRIC_VALUE"] for f in facts if (f["METRIC"], f["SUBJECT_KIND"]) == ("straggle_ratio", "rank")
    }
    assert by_rank["3"] == pytest.approx(2.0)
    assert by_rank["5"] == pytest.approx(1.0)


def test_norms_and_staleness() -> None:
    rows = make_rows([1, 2], update_norm=[1.0, 4.0], param_norm=[100.0, 200.0], staleness=[0, 6], learning_rate=0.5)
    facts = facts_of(rows)
    assert one(facts, "update_ratio")["METRIC_VALUE"] == pytest.approx(0.015)
    assert one(facts, "staleness")["METRIC_VALUE"] == 3
    assert one(facts, "staleness_max")["METRIC_VALUE"] == 6
    assert one(facts, "staleness_p95")["METRIC_VALUE"] == 0, "of two samples the 95th percentile is the lower one"
    assert one(facts, "learning_rate")["METRIC_VALUE"] == 0.5


def test_an_unknown_staleness_is_not_0() -> None:
    assert one(facts_of(make_rows([1, 2], staleness=[-1, 4])), "staleness")["METRIC_VALUE"] == 4


def test_dropped_records_add_up() -> None:
    assert one(facts_of(make_rows([1, 2], dropped=[0, 7])), "dropped_records")["METRIC_VALUE"] == 7


def test_a_gpu_that_is_not_there_has_no_facts() -> None:
    facts = facts_of(make_resources([1], cpu_utilization_ratio=0.25))
    resources = [(f["METRIC"], f["METRIC_VALUE"]) for f in facts if f["FAMILY"] == "resource"]
    assert resources == [("cpu_utilization_ratio", 0.25)]
