import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pyarrow as pa
import pytest
from tests.unit.cube.facts import FIRST_MILLIS
from tests.unit.cube.store.stand import FACTS, LATEST, ROLLUPS, TOPIC, ask, files_of, open_store, rows_of, values
from tests.waiting import wait_until

from gradcube.cube.model import Retention, Rollup
from gradcube.cube.store import Compactor, Store
from gradcube.cube.store import files as store_files
from gradcube.cube.store.manifest import Manifest
from gradcube.errors import ConfigError

PLACE = (TOPIC, 0)


def test_rows_offsets_and_counters_come_back_after_opening_again(tmp_path: Path) -> None:
    with closing(open_store(tmp_path / "deep" / "store")) as store:
        store.write("FACTS", rows_of([1, 2]), {PLACE: 2, (TOPIC, 3): 9}, {"bad_records": 4})
    with closing(open_store(tmp_path / "deep" / "store")) as again:
        assert (again.rows("FACTS"), values(again)) == (2, [1.0, 2.0])
        assert again.offsets("FACTS") == {PLACE: 2, (TOPIC, 3): 9}
        assert (again.counters("FACTS")["facts"], again.counters("FACTS")["bad_records"]) == (2, 4)
        assert again.newest_millis("FACTS") == FIRST_MILLIS + 20_000


def test_repeated_key_is_counted_and_not_written_again(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        store.write("FACTS", rows_of(range(100)), {PLACE: 100})
        repeated = pa.concat_tables([rows_of([99, 100]), rows_of([100], METRIC_VALUE=7.0)])
        written = store.write("FACTS", repeated, {PLACE: 103})
        assert (written.rows, written.duplicates) == (1, 2)
        assert store.counters("FACTS")["duplicate_fact_ids"] == 2
        assert values(store)[-1] == 100.0  # the first one counts
        assert ask(store, "SELECT sum(ROWS_COUNT) FROM t", "FACTS__BY_JOB") == [(101,)]


@pytest.mark.parametrize("max_keys", [1_000_000, 400, 8])
def test_repeated_keys_of_any_hour_are_known_however_few_are_held(tmp_path: Path, max_keys: int) -> None:
    with closing(open_store(tmp_path, max_keys=max_keys)) as store:
        store.write("FACTS", rows_of(range(1000)), {})  # almost three hours
    with closing(open_store(tmp_path, max_keys=max_keys)) as again:
        Compactor(again).run_once(settled=True)
        for first in (0, 700, 100, 990):
            again.write("FACTS", rows_of(range(first, first + 20)), {})
        assert values(again) == [float(number) for number in range(1010)]
        assert again.counters("FACTS")["duplicate_fact_ids"] == 70
        assert again._index._held <= max_keys


def test_relations_have_the_columns_of_the_contract_also_while_they_are_empty(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        empty = {name: ask(store, "DESCRIBE t", name) for name in ("FACTS", "FACTS__BY_MINUTE")}
        assert ask(store, "SELECT count(*) FROM t") == [(0,)]
        store.write("FACTS", rows_of([1]), {})
        Compactor(store).run_once(settled=True)
        for name, described in empty.items():
            assert ask(store, "DESCRIBE t", name) == described
    assert [row[0] for row in empty["FACTS"]] == [column.name for column in FACTS.stored]
    names = [row[:2] for row in empty["FACTS__BY_MINUTE"]]
    assert names[:5] == [
        ("METRIC", "VARCHAR"), ("SUBJECT_KIND", "VARCHAR"), ("MINUTE_START", "TIMESTAMP"), ("JOB", "VARCHAR"),
        ("ROWS_COUNT", "BIGINT"),
    ]  # fmt: skip
    assert ("SAMPLES__SUM", "BIGINT") in names
    assert ("METRIC_SUM__SUM", "DOUBLE") in names


def test_rollups_say_what_the_raw_rows_say_before_and_after_merges(tmp_path: Path) -> None:
    with closing(open_store(tmp_path, fan_in=3)) as store:
        compactor = Compactor(store)
        for first in range(0, 90, 10):
            store.write("FACTS", rows_of(range(first, first + 15)), {})
            store.write("FACTS", rows_of(range(first, first + 10), job="gpt", METRIC_MIN=-1.0 * first), {})
            for rollup, groups in (("BY_MINUTE", "METRIC, SUBJECT_KIND, MINUTE_START, JOB"), ("BY_JOB", "JOB, METRIC")):
                raw = "count(*), sum(METRIC_SUM), min(METRIC_MIN), max(SAMPLES)"
                summed = "sum(ROWS_COUNT), sum(METRIC_SUM__SUM), min(METRIC_MIN__MIN), max(SAMPLES__MAX)"
                grouped = f"SELECT {groups}, %s FROM t GROUP BY ALL ORDER BY ALL"
                assert ask(store, grouped % summed, f"FACTS__{rollup}") == ask(store, grouped % raw)
            compactor.run_once()
        assert len(store.view.segments("FACTS", 1, "FACTS")) < 6


def test_day_segments_are_sorted_by_what_rollups_group_by(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        for job in ("c", "a", "b"):
            store.write("FACTS", rows_of(range(3), job=job), {})
        assert Compactor(store).run_once(settled=True) == 3
        assert [job for (job,) in ask(store, "SELECT JOB FROM t")] == ["a"] * 3 + ["b"] * 3 + ["c"] * 3
        assert len(files_of(tmp_path)) == 3


def test_snapshot_reads_what_it_saw_while_segments_are_merged_and_removed(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        for number in range(4):
            store.write("FACTS", rows_of([number]), {})
        compactor = Compactor(store)
        with store.snapshot() as snapshot:
            before = files_of(tmp_path)
            store.write("FACTS", rows_of([9]), {})
            compactor.run_once(settled=True)
            assert set(before) <= set(files_of(tmp_path))
            assert len(snapshot.segments("FACTS")) == 4
            with store.snapshot() as later:
                assert len(later.segments("FACTS")) == 1
        compactor.run_once()
        assert len(files_of(tmp_path)) == 3
        assert len(values(store)) == 5


def test_days_past_retention_go_with_their_rollups(tmp_path: Path) -> None:
    model = replace(FACTS, retention=Retention(days=2))
    now = FIRST_MILLIS / 1000 + 2 * 86_400
    with closing(open_store(tmp_path, model, clock=lambda: now)) as store:
        store.write("FACTS", rows_of([0, -8640, -3 * 8640]), {})
        Compactor(store).run_once()
        assert values(store) == [0.0]
        assert ask(store, "SELECT sum(ROWS_COUNT) FROM t", "FACTS__BY_JOB") == [(1,)]


def test_latest_row_of_each_key_is_all_that_readers_see_and_that_merges_keep(tmp_path: Path) -> None:
    with closing(open_store(tmp_path, LATEST)) as store:
        for number in (5, 3, 9000, 7):
            store.write("FACTS", rows_of([number], LATEST, FACT_ID="same"), {})
        assert values(store) == [9000.0]
        store.write("FACTS", rows_of([9000], LATEST, FACT_ID="same", METRIC_VALUE=1.0), {})
        assert values(store) == [1.0]  # of two with equal times, the one that came later
        Compactor(store).run_once(settled=True)
        store.write("FACTS", rows_of([7], LATEST, FACT_ID="same"), {})
        assert (store.rows("FACTS"), values(store)) == (2, [1.0])


def test_rollup_of_a_cube_that_keeps_the_latest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="BY_MINUTE"):
        open_store(tmp_path, replace(LATEST, rollups=ROLLUPS))


def test_changed_cube_is_a_new_version_that_readers_see_once_it_is_switched(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        store.write("FACTS", rows_of(range(5)), {PLACE: 5})
    changed = replace(FACTS, rollups=(Rollup("BY_NODE", ("NODE",)),))
    with closing(open_store(tmp_path, changed)) as store:
        assert (store.offsets("FACTS"), store.is_switched("FACTS")) == ({}, False)
        store.write("FACTS", rows_of(range(3)), {PLACE: 3})
        with store.snapshot() as snapshot:
            assert "FACTS__BY_JOB" in snapshot.relations()
        assert values(store) == [0.0, 1.0, 2.0, 3.0, 4.0]
        store.switch("FACTS")
        assert values(store) == [0.0, 1.0, 2.0]
        assert ask(store, "SELECT ROWS_COUNT FROM t", "FACTS__BY_NODE") == [(3,)]
        Compactor(store).run_once()
        assert all("/2/" in str(path) for path in files_of(tmp_path))
    with closing(open_store(tmp_path, changed)) as store:
        assert store.is_switched("FACTS")


def test_second_process_is_refused_by_name_and_reads_nothing(tmp_path: Path) -> None:
    code = "import sys; from gradcube.cube.model import load_cube; from gradcube.cube.store import Store\n"
    code += "Store(__import__('pathlib').Path(sys.argv[1]), [load_cube()])"
    with closing(open_store(tmp_path)):
        ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
        with pytest.raises(ConfigError, match="has it open"):
            open_store(tmp_path)
    assert "has it open" in ended.stderr
    assert "ConfigError" in ended.stderr


@pytest.mark.parametrize("when", ["second file", "commit"])
def test_failed_write_leaves_nothing_behind_and_the_next_one_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    with closing(open_store(tmp_path)) as store:
        store.write("FACTS", rows_of(range(10)), {PLACE: 10})
        before = files_of(tmp_path)
        write, calls = store_files.write_parquet, []

        def failing(path: Path, table: pa.Table, repeated: Sequence[str]) -> int:
            calls.append(path)
            if len(calls) == 2:
                raise OSError(28, "No space left on device")
            return write(path, table, repeated)

        def full(*_: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        with monkeypatch.context() as patch:
            if when == "commit":
                patch.setattr(store._manifest, "note", full)
            else:
                patch.setattr(store_files, "write_parquet", failing)
            with pytest.raises((OSError, sqlite3.Error)):
                store.write("FACTS", rows_of(range(5, 15)), {PLACE: 20})
        assert (store.rows("FACTS"), store.offsets("FACTS")) == (10, {PLACE: 10})
        if when != "commit":
            assert files_of(tmp_path) == before
        assert store.write("FACTS", rows_of(range(5, 15)), {PLACE: 20}).rows == 5
        assert len(files_of(tmp_path)) == len(before) + 3


def test_files_that_the_manifest_does_not_name_are_removed_at_open(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        store.write("FACTS", rows_of([1]), {})
    whole = files_of(tmp_path)
    (whole[0].parent / "torn.parquet").write_bytes(whole[0].read_bytes()[:100])
    (tmp_path / "segments" / "FACTS" / "1" / "FACTS" / "2020-01-01").mkdir()
    (tmp_path / "segments" / "FACTS" / "1" / "FACTS" / "2020-01-01" / "x.parquet.draft").write_bytes(b"PAR1")
    with closing(open_store(tmp_path)) as store:
        assert files_of(tmp_path) == whole
        assert values(store) == [1.0]


def test_counted_file_that_is_not_as_it_was_written_is_named(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        store.write("FACTS", rows_of([1]), {})
    path = files_of(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ConfigError, match=path.name):
        open_store(tmp_path)


def test_file_that_is_no_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.sqlite").write_bytes(b"x" * 20_000)
    with pytest.raises(ConfigError, match="manifest"):
        open_store(tmp_path)
    (tmp_path / "manifest.sqlite").unlink()
    open_store(tmp_path).close()  # the lock was let go


def test_compactor_works_beside_writes_until_it_is_stopped(tmp_path: Path) -> None:
    with closing(open_store(tmp_path, pause_seconds=0.01, fan_in=3)) as store:
        compactor = Compactor(store)
        compactor.start()
        writing = Thread(target=lambda: [store.write("FACTS", rows_of([number]), {}) for number in range(30)])
        writing.start()
        writing.join()
        wait_until(lambda: len(store.view.segments("FACTS", 1, "FACTS")) < 8, 20, "segments are merged")
        compactor.stop()
        assert compactor.reason is None
        assert values(store) == [float(number) for number in range(30)]


def test_store_may_be_named_with_odd_letters(tmp_path: Path) -> None:
    store = Store(tmp_path / 'it\'s a [store] "*"', [FACTS])
    with closing(store):
        store.write("FACTS", rows_of([1]), {})
        store.write("FACTS", rows_of([2]), {})
        Compactor(store).run_once(settled=True)
        assert values(store) == [1.0, 2.0]


def test_value_that_only_an_earlier_row_knew_is_carried_on_before_and_after_merges(tmp_path: Path) -> None:
    model = replace(LATEST, retention=Retention(latest=True, carry=("NODE",)))
    with closing(open_store(tmp_path, model)) as store:
        store.write("FACTS", rows_of([1], model, FACT_ID="a", NODE="first"), {})
        for number in (2, 3):
            rows = rows_of([number], model, FACT_ID="a")
            place = rows.schema.get_field_index("NODE")
            store.write("FACTS", rows.set_column(place, "NODE", pa.nulls(1, pa.string())), {})
        for _ in range(2):
            assert ask(store, "SELECT METRIC_VALUE, NODE FROM t") == [(3.0, "first")]
            Compactor(store).run_once(settled=True)


def test_version_that_readers_saw_and_that_was_dropped_gives_way_to_the_one_that_is_written(tmp_path: Path) -> None:
    changed = replace(FACTS, rollups=())
    for model in (FACTS, changed):
        with closing(open_store(tmp_path, model)) as store:
            store.write("FACTS", rows_of([1]), {})
    with closing(Manifest(tmp_path / "manifest.sqlite")) as manifest, manifest.transaction():
        manifest.drop_version(("FACTS", 1))
    with closing(open_store(tmp_path, changed)) as store:
        assert store.is_switched("FACTS")
        assert values(store) == [1.0]
        assert all("/2/" in str(path) for path in files_of(tmp_path))


def test_another_order_of_rows_is_no_new_version(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        store.write("FACTS", rows_of([1]), {})
    mandatory = tuple(replace(rollup, mandatory=("JOB",)) for rollup in ROLLUPS)
    with closing(open_store(tmp_path, replace(FACTS, rollups=mandatory))) as store:
        assert store.is_switched("FACTS")
        assert values(store) == [1.0]
