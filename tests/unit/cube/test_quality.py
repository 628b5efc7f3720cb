from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from tests.unit.cube.facts import value

from gradcube.cube.columns import decode_facts
from gradcube.cube.model import CubeModel, Rule
from gradcube.cube.quality import Judged, age_seconds, judge, stale
from gradcube.cube.records import Decoded


def judged(model: CubeModel, values: Sequence[bytes], *rules: Rule) -> Judged:
    rows, bad = decode_facts(values, model)
    assert not bad
    return judge(Decoded(rows, np.arange(len(values)) * 10, []), replace(model, rules=rules))


VALUES = [value(0), value(1, JOB=""), value(2, SAMPLES=-1), value(3, SAMPLES=2**60)]


def test_row_out_of_range_is_rejected_with_the_rule_s_sentence_and_its_record(model: CubeModel) -> None:
    found = judged(model, VALUES, Rule("range", "SAMPLES", "reject", least=0, most=1e9))
    assert found.rows["METRIC_VALUE"].to_pylist() == [0.0, 1.0]
    assert [(one.index, str(one.error)) for one in found.bad] == [
        (20, "SAMPLES is -1; SAMPLES must be at least 0 and at most 1e+09"),
        (30, f"SAMPLES is {2**60}; SAMPLES must be at least 0 and at most 1e+09"),
    ]


def test_marked_row_is_counted_and_kept_and_alert_is_told(model: CubeModel) -> None:
    found = judged(model, VALUES, Rule("range", "SAMPLES", "mark", least=0), Rule("required", "JOB", "alert"))
    assert found.rows.num_rows == 4
    assert found.counts == {"marked_rows": 1, "alerts": 1}
    assert found.alerts == ("1 rows break: JOB must be there and not empty",)


def test_row_that_one_rule_rejected_is_not_counted_by_the_next(model: CubeModel) -> None:
    found = judged(model, VALUES, Rule("required", "JOB"), Rule("range", "METRIC_VALUE", "mark", most=1.0))
    assert [one.index for one in found.bad] == [10]
    assert found.counts == {"marked_rows": 2}


def test_freshness_is_the_age_of_the_newest_row(model: CubeModel) -> None:
    fresh = replace(model, rules=(Rule("fresh", "TS", "alert", most=60),))
    assert age_seconds(None, 5.0) is None
    assert age_seconds(4000, 5.0) == 1.0
    assert stale(fresh, 60.0) is None
    assert stale(fresh, None) is None
    assert stale(fresh, 61.0) == "the newest TS must be at most 60 s old"
