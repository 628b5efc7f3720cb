"""Days of a rollup become months, which lose the days that retention takes; raw rows stay by day."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from tests.unit.cube.facts import FIRST_MILLIS
from tests.unit.cube.store.stand import ask, open_store, rows_of

from gradcube.cube.model import Retention, load_cube
from gradcube.cube.store import Compactor, Store
from gradcube.cube.store.batches import DAY_MILLIS

FACTS = load_cube()
ROLLUP = "FACTS__JOB_HOUR"
DAYS = 10
BY_DAY = 'SELECT CAST("{time}" AS DATE), sum({rows}), sum("METRIC_VALUE{of}") FROM t GROUP BY 1 ORDER BY 1'


def days_of_facts(first: int, count: int = DAYS) -> pa.Table:
    """Three rows a day; 2026-11-24 is day 0."""
    made = [rows_of(range(3), FACTS, TS=FIRST_MILLIS + day * DAY_MILLIS) for day in range(first, first + count)]
    whole = pa.concat_tables(made)
    return whole.set_column(
        whole.column_names.index("FACT_ID"), "FACT_ID", pa.array([f"{first}-{n}" for n in range(whole.num_rows)])
    )


def assert_rollup_tells_what_the_rows_do(store: Store, days: int) -> None:
    raw = ask(store, BY_DAY.format(time="TS", rows="1", of=""))
    assert len(raw) == days
    assert ask(store, BY_DAY.format(time="DAY_START", rows="ROWS_COUNT", of="__SUM"), ROLLUP) == raw


def merge_all(store: Store) -> None:
    compactor = Compactor(store)
    while compactor.run_once(settled=True):
        pass
    compactor.stop()


def segments(store: Store, relation: str) -> int:
    with store.snapshot() as snapshot:
        return len(snapshot.segments(relation))


def test_settled_days_of_a_rollup_become_one_segment_a_month(tmp_path: Path) -> None:
    with closing(open_store(tmp_path, FACTS)) as store:
        store.write("FACTS", days_of_facts(0), {})
        assert (segments(store, "FACTS"), segments(store, ROLLUP)) == (DAYS, DAYS)
        merge_all(store)
        assert (segments(store, "FACTS"), segments(store, ROLLUP)) == (DAYS, 2)
        assert_rollup_tells_what_the_rows_do(store, DAYS)


def test_late_rows_of_a_day_join_its_month(tmp_path: Path) -> None:
    with closing(open_store(tmp_path, FACTS)) as store:
        store.write("FACTS", days_of_facts(0), {})
        merge_all(store)
        store.write("FACTS", days_of_facts(2, 2), {})
        assert_rollup_tells_what_the_rows_do(store, DAYS)
        merge_all(store)
        assert segments(store, ROLLUP) == 2
        assert_rollup_tells_what_the_rows_do(store, DAYS)


def test_month_loses_the_days_that_are_over_with_the_rows(tmp_path: Path) -> None:
    now = FIRST_MILLIS / 1000
    model = replace(FACTS, retention=Retention(days=30))
    with closing(open_store(tmp_path, model, clock=lambda: now)) as store:
        store.write("FACTS", days_of_facts(0), {})
        merge_all(store)
        now += 33 * DAY_MILLIS / 1000
        merge_all(store)
        assert segments(store, "FACTS") == DAYS - 3
        assert_rollup_tells_what_the_rows_do(store, DAYS - 3)
        [(least,)] = ask(store, 'SELECT min("DAY_START") FROM t', ROLLUP)
        assert str(least) == "2026-11-27"


def test_few_days_wait_for_more(tmp_path: Path) -> None:
    with closing(open_store(tmp_path, FACTS, settle_seconds=0.0)) as store:
        compactor = Compactor(store)
        store.write("FACTS", days_of_facts(-20, 7), {})
        assert [compactor.run_once(), segments(store, ROLLUP)] == [0, 7]
        store.write("FACTS", days_of_facts(-13, 1), {})
        compactor.run_once()
        assert segments(store, ROLLUP) == 1
        compactor.stop()
