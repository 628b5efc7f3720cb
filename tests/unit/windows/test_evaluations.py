"""Evaluations of checkpoints: by dataset, of the job, and against training."""

import pytest
from tests.unit.windows.making import facts_of, make_evaluations, make_rows, one, value


@pytest.mark.parametrize("name", ["accuracy", "precision", "recall", "f1", "perplexity", "loss"])
def test_every_known_metric_has_a_fact_of_its_dataset_and_of_the_job(name: str) -> None:
    facts = facts_of(make_evaluations([1], name, 0.75, samples=40, dataset="squad"))
    for kind, subject in (("dataset", "squad"), ("job", "bert")):
        fact = one(facts, f"evaluation_{name}", kind)
        assert (fact["SUBJECT"], fact["METRIC_VALUE"], fact["SAMPLES"], fact["FAMILY"]) == (
            subject,
            0.75,
            40,
            "quality",
        )


def test_datasets_count_by_their_samples_in_the_job() -> None:
    facts = facts_of(make_evaluations([1, 2], "recall", [0.5, 1.0], samples=[300, 100], dataset=["a", "b"]))
    assert value(facts, "evaluation_recall") == pytest.approx(0.625)
    assert value(facts, "evaluation_recall", "dataset", subject="b") == 1.0
    assert one(facts, "evaluation_recall")["METRIC_MAX"] == 1.0


@pytest.mark.parametrize("written", ["f1", "F1", "f1_score", "eval_f1", " f1 "])
def test_a_metric_is_known_by_its_usual_spellings(written: str) -> None:
    assert value(facts_of(make_evaluations([1], written, 0.5)), "evaluation_f1") == 0.5


def test_a_metric_that_is_not_known_is_counted_and_not_lost_in_silence() -> None:
    facts = facts_of(make_evaluations([1, 2], ["bleu", "f1"], [30.0, 0.5]))
    assert value(facts, "unknown_evaluations") == 1
    assert value(facts, "unknown_evaluations", "dataset") == 1


def test_a_value_that_is_no_number_has_no_fact() -> None:
    facts = facts_of(make_evaluations([1, 2], ["loss", "f1"], [float("nan"), float("inf")]))
    assert not [fact for fact in facts if fact["METRIC"].startswith(("evaluation", "best"))]


def test_best_is_the_least_loss_and_the_greatest_of_everything_else() -> None:
    rows = make_evaluations([1, 1, 11, 11], ["loss", "f1"] * 2, [2.0, 0.6, 3.0, 0.5])
    facts = facts_of(rows)
    assert [value(facts, "best_evaluation_loss", at=at) for at in (0, 10)] == [2.0, 2.0]
    assert [value(facts, "best_evaluation_f1", at=at) for at in (0, 10)] == [0.6, 0.6]


def test_the_gap_is_evaluation_less_training_of_the_window_or_the_last_that_trained() -> None:
    facts = facts_of(make_rows([1, 2, 11], loss=[2.0, 4.0, 2.5]), make_evaluations([5, 25], "loss", [3.5, 3.5]))
    assert value(facts, "generalisation_gap") == 0.5
    assert value(facts, "generalisation_gap", at=20) == 1.0


def test_without_training_there_is_no_gap() -> None:
    assert "generalisation_gap" not in {fact["METRIC"] for fact in facts_of(make_evaluations([1], "loss", 3.5))}
