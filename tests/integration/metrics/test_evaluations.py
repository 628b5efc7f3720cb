"""Evaluations in a real broker become facts, beside training and of a job that nobody trains any more."""

import uuid
from pathlib import Path

import pytest
from tests.integration.metrics.stand import Fleet, facts_of, producer, worker
from tests.waiting import wait_until

from gradcube.events import Fact, encode
from gradcube.settings import KafkaSettings


def evaluation(fleet: Fleet, metric: str, value: float) -> bytes:
    """Ten steps into the run."""
    return encode(
        "Evaluation",
        {
            "job": fleet.job, "attempt": 0, "step": 10, "ended_at": fleet.start_micros + 10 * fleet.step_micros,
            "dataset": "squad", "metric": metric, "value": value, "samples": 40,
        },
    )  # fmt: skip


@pytest.mark.parametrize("steps", [40, 0])
def test_an_evaluation_becomes_facts_of_its_dataset_and_job(kafka: KafkaSettings, tmp_path: Path, steps: int) -> None:
    fleet = Fleet(f"evaluated-{uuid.uuid4().hex[:8]}")
    with producer(kafka) as client:
        for metric, value in (("f1", 0.75), ("loss", 5.0)):
            client.send("gradcube.evaluations", key=fleet.job.encode(), value=evaluation(fleet, metric, value))
        for key, value in [record for step in range(steps) for record in fleet.records(step)]:
            client.send("gradcube.steps", key=key, value=value)

    def evaluated() -> dict[tuple[str, str], Fact] | None:
        found = {
            (fact["METRIC"], fact["SUBJECT_KIND"]): fact
            for fact in facts_of(kafka, fleet.job)
            if fact["METRIC"].startswith(("evaluation_", "generalisation_"))
        }
        return found if ("evaluation_f1", "dataset") in found else None

    with worker(kafka, tmp_path):
        found = wait_until(evaluated, 60, "the facts of the evaluation", 0.5)
    assert found["evaluation_f1", "job"]["METRIC_VALUE"] == 0.75
    assert found["evaluation_f1", "dataset"]["SUBJECT"] == "squad"
    assert found["evaluation_loss", "job"]["SAMPLES"] == 40
    if steps:
        assert found["generalisation_gap", "job"]["METRIC_VALUE"] == 5.0 - 3.5, "the ranks' losses are 2 to 5"
