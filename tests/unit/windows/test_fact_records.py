import numpy as np
from tests.unit.windows.making import SECOND, START, make_resources, make_rows, make_servers

from gradcube.events import encode_fact
from gradcube.windows import JobDescription, JobWindows, WindowSettings
from gradcube.windows.fact_records import fact_records

ODD = 'a "name" with \\ and ü, \u2028 and \x07'


def windows_of_everything() -> JobWindows:
    windows = JobWindows(WindowSettings(pane_seconds=10, job_window_seconds=10, subject_window_seconds=20), ODD)
    rng = np.random.default_rng(5)
    for rank in range(4):
        seconds = [float(each) for each in range(0, 40, 2)]
        rows = make_rows(
            seconds, rank=rank, first_offset=100 * rank, job=ODD, node=ODD, stage=rank % 2,
            loss=rng.normal(2, 1, 20), step_seconds=rng.gamma(2, 1e-7, 20), forward_seconds=rng.gamma(2, 1e6, 20),
            backward_seconds=[np.nan, np.inf] * 10, tokens=7, attempt=rank // 3,
        )  # fmt: skip
        windows.add(rows, ("gradcube.steps", rank))
    windows.add_resources(make_resources([1, 2, 30], cpu_utilization_ratio=0.1 + 0.2), ("gradcube.resources", 0))
    windows.add_servers(make_servers([1, 2, 30], apply_seconds=1e-300), ("gradcube.server-syncs", 0))
    return windows


def test_the_bytes_and_ids_are_those_of_the_facts_one_by_one() -> None:
    windows = windows_of_everything()
    closed = windows.close(START + 100 * SECOND)
    about = JobDescription(ODD, ODD, 12_345_678_901, "h", ODD)
    facts = windows.facts(closed, about)
    records = list(fact_records(closed, about))
    assert [record.value for record in records] == [encode_fact(fact) for fact in facts]
    assert [record.id for record in records] == [fact["FACT_ID"] for fact in facts]
    assert {fact["SUBJECT_KIND"] for fact in facts} >= {"job", "rank", "stage", "node", "shard"}
