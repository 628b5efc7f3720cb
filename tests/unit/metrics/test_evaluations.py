"""Evaluations in the merge: beside training, and of a job that nobody trains any more."""

from types import SimpleNamespace

import numpy as np
from tests.unit.metrics.making import MICROS, START, step_record

from gradcube.events import Fact, decode_fact
from gradcube.windows import EvaluationRows, JobDescription
from gradcube_metrics.decode import reduce_steps
from gradcube_metrics.merge import Closing, Hold, JobMerge, Recovered
from gradcube_metrics.partials import EVALUATIONS, Partial
from gradcube_metrics.settings import MetricsSettings

SETTINGS = MetricsSettings(
    pane_seconds=1, job_window_seconds=1, subject_window_seconds=5, grace_seconds=1, idle_seconds=2
)


def evaluation(second: int) -> Partial:
    one = np.ones(1, np.int64)
    ended = one * (START + second * MICROS)
    rows = EvaluationRows(
        "a", one.astype(np.int32) * 0, one, np.array(["squad"], object), np.array(["f1"], object), np.array([0.5]), one,
        ended, ended, one * second,
    )  # fmt: skip
    return Partial((EVALUATIONS, 0), rows)


def facts(closing: Closing) -> list[Fact]:
    return [decode_fact(fact.value) for fact in closing.facts]


def test_evaluations_of_a_job_that_nobody_trains_are_written_and_their_batch_is_done() -> None:
    merge, batch = JobMerge("a", SETTINGS, Recovered(), START), SimpleNamespace(written=False)
    hold = Hold(batch)
    for second in (0, 90):
        merge.hear(evaluation(second), hold, START)
    hold.release()
    closing = merge.close(START + 90 * MICROS, JobDescription("a"))
    assert closing is not None
    merge.settle()
    found = [fact["TS"] for fact in facts(closing) if fact["METRIC"] == "evaluation_f1"]
    assert sorted(set(found)) == [START // 1000, START // 1000 + 90_000]
    assert batch.written


def test_an_evaluation_does_not_hold_up_the_windows_of_training() -> None:
    merge, hold = JobMerge("a", SETTINGS, Recovered(), START), Hold(SimpleNamespace(written=False))
    records = [step_record("a", rank, step, offset=4 * step + rank) for step in range(20) for rank in range(4)]
    for partial in reduce_steps(records, 0).partials:
        merge.hear(partial, hold, START)
    merge.hear(evaluation(10), hold, START)
    closing = merge.close(START + 2 * MICROS, JobDescription("a"))
    assert max(fact["TS"] for fact in facts(closing)) == START // 1000 + 19_000
