"""What is known of jobs, from their lifecycle records."""

from typing import Any

from tests.unit.metrics.test_diagnosing import event

from gradcube.windows import Clipping, JobDescription
from gradcube_metrics.descriptions import KEPT_ATTEMPTS, Descriptions


def learnt(*events: dict[str, Any]) -> Descriptions:
    descriptions = Descriptions()
    for each in events:
        descriptions.learn(each)
    return descriptions


def test_a_record_that_does_not_know_the_job_leaves_its_description_as_it_was() -> None:
    described = {**event("JOB_STARTED"), "model": "bert", "model_parameters": 5, "hardware": "cpu", "dataset": "d"}
    descriptions = learnt(described, event("SERVER_JOINED"))
    assert descriptions.of("a") == JobDescription("a", "bert", 5, "cpu", "d")
    assert learnt(described, {**described, "model": "gpt"}).of("a").model == "gpt"


def test_each_attempt_clips_as_its_last_record_says() -> None:
    descriptions = learnt(
        {**event("JOB_STARTED"), "grad_clip_norm": 1.0},
        {**event("JOB_STARTED", attempt=1), "own_grad_clip_norm": 0.5},
        {**event("OTHER", attempt=1), "own_grad_clip_norm": 2.0},
        event("JOB_STARTED", attempt=2),
    )
    assert descriptions.clipping("a") == {0: Clipping(grad_norm=1.0), 1: Clipping(own_grad_norm=2.0)}
    assert descriptions.clipping("nobody") == {}


def test_only_the_newest_attempts_are_kept() -> None:
    events = [{**event("JOB_STARTED", attempt=attempt), "grad_clip_norm": 1.0} for attempt in range(9)]
    assert list(learnt(*events).clipping("a")) == list(range(9 - KEPT_ATTEMPTS, 9))
