from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.cube.store.stand import FACTS, ask, open_store, rows_of, values

from gradcube.cube.kylin_types import KylinType
from gradcube.cube.model import Column, CubeModel, Filter, Rollup, Source, Unpivot
from gradcube.cube.store.inheritance import inherit, is_heir, left_behind
from gradcube.cube.store.relations import layout_of

TOPIC = ("gradcube.facts", 0)


def without(model: CubeModel, name: str) -> CubeModel:
    rollups = tuple(one for one in model.rollups if name not in one.dimensions)
    return replace(model, columns=tuple(one for one in model.columns if one.name != name), rollups=rollups)


def test_new_version_inherits_rows_and_offsets_of_the_old_one(tmp_path: Path) -> None:
    changed = replace(FACTS, rollups=(Rollup("BY_NODE", ("NODE",)),))
    with closing(open_store(tmp_path)) as store:
        store.write("FACTS", rows_of(range(5)), {TOPIC: 5})
    with closing(open_store(tmp_path, changed)) as store:
        assert left_behind(store, "FACTS") == 5
        assert inherit(store, "FACTS") == 5
        assert store.offsets("FACTS") == {TOPIC: 5}
        assert left_behind(store, "FACTS") == 0
        store.switch("FACTS")
        assert values(store) == [0.0, 1.0, 2.0, 3.0, 4.0]
        assert ask(store, "SELECT sum(ROWS_COUNT) FROM t", "FACTS__BY_NODE") == [(5,)]


def test_new_dimension_is_null_in_inherited_rows(tmp_path: Path) -> None:
    fewer = without(FACTS, "FAMILY")
    with closing(open_store(tmp_path, fewer)) as store:
        store.write("FACTS", rows_of([1], fewer), {TOPIC: 1})
    with closing(open_store(tmp_path)) as store:
        assert inherit(store, "FACTS") == 1
        store.write("FACTS", rows_of([2]), {TOPIC: 2})
        store.switch("FACTS")
        assert ask(store, "SELECT FAMILY FROM t ORDER BY TS") == [(None,), (rows_of([2])["FAMILY"][0].as_py(),)]


def test_new_measure_can_be_filled_from_the_topic_alone_and_history_is_counted(tmp_path: Path) -> None:
    fewer = without(FACTS, "METRIC_SUM")
    with closing(open_store(tmp_path, fewer)) as store:
        store.write("FACTS", rows_of([1, 2, 3], fewer), {TOPIC: 3})
    with closing(open_store(tmp_path)) as store:
        assert inherit(store, "FACTS") == 0
        assert store.offsets("FACTS") == {}
        store.write("FACTS", rows_of([10]), {TOPIC: 4})
        assert left_behind(store, "FACTS") == 3
        store.switch("FACTS")
        assert left_behind(store, "FACTS") == 0


EXTRA = Column("EXTRA", "dimension", KylinType("VARCHAR", 256), "")
BERT_ALONE = replace(FACTS, filters=(Filter("JOB", ("bert",)),))
RENAMED = replace(FACTS, source=Source(fields=(("NODE", "host"),)))


def unpivoted(*fields: str) -> CubeModel:
    return replace(FACTS, source=Source(unpivot=Unpivot("METRIC", "METRIC_VALUE", fields)))


@pytest.mark.parametrize(
    ("before", "after", "heir"),
    [
        (FACTS, replace(FACTS, rollups=()), True),
        (FACTS, replace(FACTS, columns=(*FACTS.columns, EXTRA)), True),
        (FACTS, without(FACTS, "NODE"), True),
        (RENAMED, without(FACTS, "NODE"), True),
        (FACTS, RENAMED, False),
        (FACTS, replace(FACTS, topic="other"), False),
        (FACTS, replace(FACTS, key="JOB"), False),
        (FACTS, BERT_ALONE, False),
        (BERT_ALONE, FACTS, False),
        (unpivoted("a", "b"), unpivoted("a", "b", "c"), True),
        (unpivoted("a", "b"), unpivoted("a"), False),
    ],
)
def test_rows_are_inherited_when_the_same_records_would_give_them(
    before: CubeModel, after: CubeModel, heir: bool
) -> None:
    assert is_heir(after, layout_of(before)) is heir
