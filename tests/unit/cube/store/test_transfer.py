from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.cube.store.stand import LATEST, ask, open_store, rows_of, values

from gradcube.cube.store import export_cube, import_cube
from gradcube.errors import DataError


def test_export_has_a_file_a_day_and_import_takes_each_row_once(tmp_path: Path) -> None:
    with closing(open_store(tmp_path / "one")) as store:
        store.write("FACTS", rows_of([0, 1, 8640]), {})
        assert export_cube(store, "FACTS", tmp_path / "out").rows == 3
    names = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.parquet"))
    assert names == ["day=2026-11-24/FACTS.parquet", "day=2026-11-25/FACTS.parquet"]
    with closing(open_store(tmp_path / "two")) as store:
        store.write("FACTS", rows_of([1, 2]), {})
        done = import_cube(store, "FACTS", tmp_path / "out")
        assert (done.files, done.rows, done.duplicates) == (2, 2, 1)
        assert values(store) == [0.0, 1.0, 2.0, 8640.0]
        assert ask(store, "SELECT sum(ROWS_COUNT) FROM t", "FACTS__BY_JOB") == [(4,)]
        assert import_cube(store, "FACTS", tmp_path / "out").rows == 0


def test_exported_days_of_a_cube_that_keeps_the_latest_are_those_of_its_rows(tmp_path: Path) -> None:
    with closing(open_store(tmp_path / "one", LATEST)) as store:
        store.write("FACTS", rows_of([0, 8640, 8641], LATEST), {})
        store.write("FACTS", rows_of([9000], LATEST), {})
        assert export_cube(store, "FACTS", tmp_path / "out").files == 2


def test_file_with_other_columns_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "out" / "day=2026-11-24"
    folder.mkdir(parents=True)
    pq.write_table(rows_of([1]), folder / "a.parquet")
    pq.write_table(rows_of([2]).append_column("EXTRA", pa.array([1])).drop(["NODE"]), folder / "b.parquet")
    with closing(open_store(tmp_path / "store")) as store:
        with pytest.raises(DataError, match=r"EXTRA, .*NODE"):
            import_cube(store, "FACTS", tmp_path / "out")
        assert values(store) == []


@pytest.mark.parametrize(
    "content", [None, b"junk", pa.table({name: pa.array(["x"]) for name in rows_of([1]).column_names})]
)
def test_what_is_no_export_is_refused_with_a_sentence(tmp_path: Path, content: object) -> None:
    path = tmp_path / "file.parquet"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        pq.write_table(content, path)
    with closing(open_store(tmp_path / "store")) as store, pytest.raises(DataError, match=r"file\.parquet"):
        import_cube(store, "FACTS", path)
