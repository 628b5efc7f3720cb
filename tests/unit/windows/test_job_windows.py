import json
from typing import Any

import numpy as np
import pytest
from tests.unit.windows.making import SECOND, START, make_resources, make_rows, make_servers

from gradcube.events import Fact, encode_fact
from gradcube.windows import JobDescription, JobWindows, WindowSettings

STEPS = ("gradcube.steps", 0)
DESCRIPTION = JobDescription("bert", "BERT", 110_000_000, "2 cores", "stdlib")
ALIKE = WindowSettings(subject_window_seconds=10)


def closed_facts(windows: JobWindows, seconds: float = 1_000) -> list[Fact]:
    return windows.facts(windows.close(START + round(seconds * SECOND)), DESCRIPTION)


def value(facts: list[Fact], metric: str, subject: str = "bert", at: int = 0, column: str = "METRIC_VALUE") -> Any:
    ts = START // 1000 + at * 1000
    found = [
        fact[column]  # type: ignore[literal-required]
        for fact in facts
        if (fact["METRIC"], fact["SUBJECT"], fact["TS"]) == (metric, subject, ts) and fact["SUBJECT_KIND"] != "stage"
    ]
    assert len(found) == 1, f"{metric} of {subject} at {at}: {found}"
    return found[0]


def test_rows_become_facts_of_the_job_and_of_its_ranks() -> None:
    windows = JobWindows(ALIKE)
    windows.add(make_rows([1, 1, 2, 2], rank=[0, 1, 0, 1], seq=[0, 0, 1, 1], loss=[1.0, 2.0, 3.0, 4.0]), STEPS)
    facts = closed_facts(windows)
    assert value(facts, "loss") == 2.5
    assert value(facts, "loss", column="SAMPLES") == 4
    assert (value(facts, "loss", "0"), value(facts, "loss", "1")) == (2.0, 3.0)
    assert all(encode_fact(fact) for fact in facts)


def test_a_fact_says_what_is_known_about_the_job() -> None:
    windows = JobWindows(ALIKE)
    windows.add(make_rows([1], rank=3, stage=2, attempt=4, node="node-z", loss=1.0), STEPS)
    fact = next(f for f in closed_facts(windows) if f["SUBJECT_KIND"] == "rank" and f["METRIC"] == "loss")
    assert (fact["JOB"], fact["MODEL"], fact["MODEL_PARAMETERS"], fact["DATASET"]) == (
        "bert",
        "BERT",
        110_000_000,
        "stdlib",
    )
    assert (fact["ATTEMPT"], fact["SUBJECT"], fact["STAGE"], fact["NODE"]) == (4, "3", 2, "node-z")
    assert (fact["TS"], fact["WINDOW_SECONDS"], fact["FAMILY"]) == (START // 1000, 10, "quality")


def test_a_window_closes_when_the_watermark_passes_its_end_and_only_once() -> None:
    windows = JobWindows(ALIKE)
    windows.add(make_rows([1, 11], loss=1.0), STEPS)
    assert closed_facts(windows, 9.9) == []
    assert {fact["TS"] for fact in closed_facts(windows, 10)} == {START // 1000}
    assert closed_facts(windows, 19) == []
    assert {fact["TS"] for fact in closed_facts(windows, 20)} == {START // 1000 + 10_000}
    assert windows.open_windows == 0


def test_longer_windows_are_sums_of_panes() -> None:
    windows = JobWindows(WindowSettings())
    windows.add(make_rows([5, 15, 55, 61], loss=[1.0, 2.0, 6.0, 9.0]), STEPS)
    facts = closed_facts(windows, 60)
    assert [fact["TS"] // 1000 - START // SECOND for fact in facts if fact["METRIC"] == "loss"] == [0, 10, 50, 0, 0]
    rank = next(f for f in facts if f["SUBJECT_KIND"] == "rank" and f["METRIC"] == "loss")
    assert (rank["WINDOW_SECONDS"], rank["METRIC_VALUE"], rank["METRIC_MAX"], rank["SAMPLES"]) == (60, 3.0, 6.0, 3)


def test_late_record_is_counted_and_kept() -> None:
    windows = JobWindows(ALIKE)
    windows.add(make_rows([1, 12], loss=1.0), STEPS)
    closed_facts(windows, 10)
    added = windows.add(make_rows([3], first_offset=2, loss=9.0), STEPS)
    assert (added.accepted, added.duplicate, added.late.offset.tolist()) == (0, 0, [2])
    facts = closed_facts(windows)
    assert value(facts, "late_records", at=10) == 1
    assert value(facts, "loss", at=10) == 1.0
    assert value(facts, "records", at=10) == 1


def test_a_rank_whose_only_record_was_late_still_has_its_count() -> None:
    windows = JobWindows(ALIKE)
    windows.add(make_rows([1, 12]), STEPS)
    closed_facts(windows, 10)
    windows.add(make_rows([3], rank=7, first_offset=2), STEPS)
    assert value(closed_facts(windows), "late_records", "7", at=10) == 1


def test_an_offset_read_before_is_a_duplicate() -> None:
    windows = JobWindows(ALIKE)
    windows.add(make_rows([1, 2]), STEPS)
    added = windows.add(make_rows([2, 3], first_offset=1), STEPS)
    assert (added.accepted, added.duplicate) == (1, 1)
    assert value(closed_facts(windows), "records") == 3


def test_the_same_offset_of_another_partition_is_another_record() -> None:
    windows = JobWindows(ALIKE)
    windows.add(make_rows([1], rank=0), STEPS)
    assert windows.add(make_rows([1], rank=1), ("gradcube.steps", 1)).accepted == 1


@pytest.mark.parametrize("batches", [1, 2])
def test_a_record_sent_twice_counts_once_and_is_shown(batches: int) -> None:
    windows = JobWindows(ALIKE)
    twice = make_rows([1, 2, 1], seq=[0, 1, 0], loss=[1.0, 3.0, 1.0])
    split = [twice] if batches == 1 else [twice.take(np.array([0, 1])), twice.take(np.array([2]))]
    added = [windows.add(part, STEPS) for part in split]
    assert (sum(a.accepted for a in added), sum(a.duplicate for a in added)) == (2, 1)
    facts = closed_facts(windows)
    assert (value(facts, "records"), value(facts, "duplicate_records"), value(facts, "loss")) == (2, 1, 2.0)


def test_records_out_of_order_are_no_duplicates() -> None:
    windows = JobWindows(ALIKE)
    windows.add(make_rows([3], seq=2), STEPS)
    added = windows.add(make_rows([1, 2], first_offset=1, seq=[0, 1]), STEPS)
    assert (added.accepted, added.duplicate) == (2, 0)


def test_another_attempt_starts_its_own_sequence() -> None:
    windows = JobWindows(ALIKE)
    windows.add(make_rows([1], seq=0, attempt=0, loss=1.0), STEPS)
    assert windows.add(make_rows([2], seq=0, attempt=1, first_offset=1, loss=2.0), STEPS).accepted == 1
    losses = {
        f["ATTEMPT"]: f["METRIC_VALUE"]
        for f in closed_facts(windows)
        if (f["METRIC"], f["SUBJECT_KIND"]) == ("loss", "job")
    }
    assert losses == {0: 1.0, 1: 2.0}


def test_absent_is_never_0() -> None:
    windows = JobWindows(ALIKE)
    windows.add(make_rows([1, 2]), STEPS)
    metrics = {fact["METRIC"] for fact in closed_facts(windows) if fact["FAMILY"] != "dependency"}
    assert metrics == {"records", "dropped_records", "nonfinite_count", "reliable_output_ratio", "restarts"}


def test_nonfinite_losses_and_norms_are_counted_and_not_summed() -> None:
    windows = JobWindows(ALIKE)
    rows = make_rows([1, 2, 3], loss=[1.0, np.inf, np.nan], grad_norm=[np.inf, 2.0, 4.0], nonfinite=[0, 0, 1])
    windows.add(rows, STEPS)
    facts = closed_facts(windows)
    assert value(facts, "nonfinite_count") == 3
    assert (value(facts, "loss"), value(facts, "loss", column="SAMPLES")) == (1.0, 1)
    assert value(facts, "grad_norm") == 3.0


def test_resources_belong_to_ranks_or_to_nodes() -> None:
    windows = JobWindows(ALIKE)
    windows.add(make_rows([1], rank=2, attempt=0), STEPS)
    windows.add_resources(make_resources([1, 2], cpu_utilization_ratio=[0.5, 0.7]), ("gradcube.resources", 0))
    windows.add_resources(make_resources([1], rank=2, memory_used_bytes=100), ("gradcube.resources", 1))
    facts = closed_facts(windows)
    assert value(facts, "cpu_utilization_ratio", "node-a") == pytest.approx(0.6)
    assert value(facts, "memory_used_bytes", "2") == 100
    assert value(facts, "memory_used_bytes", "2", column="SUBJECT_KIND") == "rank"


def test_shards_have_facts_of_their_own() -> None:
    windows = JobWindows(ALIKE)
    windows.add_servers(
        make_servers([1, 2], shard=1, apply_seconds=[0.1, 0.3], queue_depth=2), ("gradcube.server-syncs", 0)
    )
    facts = closed_facts(windows)
    assert value(facts, "apply_seconds", "1") == pytest.approx(0.2)
    assert value(facts, "queue_depth", "1", column="SUBJECT_KIND") == "shard"


def test_a_late_sample_is_given_back() -> None:
    windows = JobWindows(ALIKE)
    source = ("gradcube.resources", 0)
    windows.add_resources(make_resources([12], cpu_utilization_ratio=1.0), source)
    closed_facts(windows, 20)
    late = make_resources([1, 2], cpu_utilization_ratio=1.0)
    assert len(windows.add_resources(late, source).late) == 1, "offset 0 was read before, offset 1 is late"


def test_an_empty_batch_changes_nothing() -> None:
    windows = JobWindows(ALIKE)
    added = windows.add(make_rows([]), STEPS)
    assert (added.accepted, added.max_event_micros, added.newest_pane_micros) == (0, 0, None)
    assert closed_facts(windows) == []


def test_added_says_how_far_the_batch_goes() -> None:
    windows = JobWindows(ALIKE)
    added = windows.add(make_rows([25, 3]), STEPS)
    assert added.max_event_micros == START + 25 * SECOND
    assert added.newest_pane_micros == START + 20 * SECOND


def test_state_is_json_and_names_the_offsets_of_the_last_close() -> None:
    windows = JobWindows(WindowSettings())
    windows.add(make_rows([1, 12]), STEPS)
    closed_facts(windows, 10)
    windows.add(make_rows([13], first_offset=2), STEPS)
    state = json.loads(json.dumps(windows.state()))
    assert state["job"] == "bert"
    assert state["closed_until_micros"] == {"job": START + 10 * SECOND, "subject": START}
    assert state["closes"][-1]["next_offsets"] == [["gradcube.steps", 0, 2]]


@pytest.mark.parametrize("lengths", [(10, 15, 60), (10, 10, 25), (0, 10, 60)])
def test_windows_that_are_no_sums_of_panes_are_refused(lengths: tuple[int, int, int]) -> None:
    with pytest.raises((ValueError, ZeroDivisionError), match="multiple"):
        WindowSettings(*lengths)
