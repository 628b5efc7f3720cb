"""A cube as Parquet files by day (`day=2026-11-24/FACTS.parquet`), out of the store and into one."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from gradcube.cube.model import CubeModel
from gradcube.cube.store import duck, files
from gradcube.cube.store.batches import ARROW
from gradcube.cube.store.store import Store
from gradcube.errors import DataError

_BATCH_ROWS = 100_000


@dataclass(frozen=True)
class Transferred:
    """`duplicates` are rows that the cube held already."""

    files: int
    rows: int
    duplicates: int = 0


def export_cube(store: Store, cube: str, directory: Path) -> Transferred:
    """Writes one file a day, sorted, each whole or not at all; files of an earlier export are replaced.

    Ingest goes on meanwhile: the files hold what was committed when it began. Raises DataError when the disk says no.
    """
    model = store.model(cube)
    order = ", ".join(f'"{name}"' for name in store.layout((cube, store.view.versions[cube])).raw.order)
    rows = 0
    try:
        with store.snapshot() as snapshot, closing(duck.connect(store.directory, store.settings.memory_limit)) as db:
            db.execute(f"CREATE TEMP VIEW exported AS {snapshot.select(cube)}")
            found = f'SELECT DISTINCT CAST("{model.time}" AS DATE) FROM exported'  # noqa: S608
            days = [day for (day,) in db.execute(found).fetchall()]
            for day in sorted(days):
                target = directory / f"day={day}" / f"{cube}.parquet"
                files.make_directory(target.parent)
                draft = target.with_name(target.name + files.DRAFT)
                where = f"CAST(\"{model.time}\" AS DATE) = DATE '{day}'"
                copied = f"SELECT * FROM exported WHERE {where} ORDER BY {order}"  # noqa: S608 - names of the cube
                to = str(draft).replace("'", "''")
                [(count,)] = db.execute(f"COPY ({copied}) TO '{to}' (FORMAT parquet, COMPRESSION zstd)").fetchall()
                files.sync_file(draft)
                files.adopt(draft, target)
                rows += count
    except (OSError, duckdb.Error) as error:
        raise DataError(f"{cube} cannot be exported to {directory}: {error}") from error
    return Transferred(len(days), rows)


def import_cube(store: Store, cube: str, source: Path) -> Transferred:
    """Writes the rows of a file, or of every `day=*/*.parquet` below a folder, that the cube does not hold yet.

    Derived times and rollups are made anew. All files are looked at before one row is written; after a crash the same
    call goes on. Raises DataError for other columns, for no files and for files that are no Parquet.
    """
    model = store.model(cube)
    paths = [source] if source.is_file() else sorted(source.glob("day=*/*.parquet"))
    if not paths:
        raise DataError(f"{source} is no Parquet file, and has no day=YYYY-MM-DD/*.parquet; name an export of {cube}")
    for path in paths:
        _check(path, model)
    rows = duplicates = 0
    for path in paths:
        for table in _tables(path, model):
            written = store.write(cube, table, {})
            rows += written.rows
            duplicates += written.duplicates
    return Transferred(len(paths), rows, duplicates)


def _check(path: Path, model: CubeModel) -> None:
    try:
        found = set(pq.read_schema(path).names)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    wire, every = {column.name for column in model.wire}, {column.name for column in model.columns}
    if found not in (wire, every):
        odd = ", ".join(sorted(found ^ every))
        raise DataError(f"{path} has other columns than {model.name}: {odd} are missing or unknown; nothing was read")


def _tables(path: Path, model: CubeModel) -> Iterator[pa.Table]:
    names = [column.name for column in model.wire]
    with closing(pq.ParquetFile(path)) as file:
        for batch in file.iter_batches(_BATCH_ROWS, columns=names):
            try:
                columns = [batch.column(column.name).cast(ARROW[column.type.name]) for column in model.wire]
            except pa.ArrowException as error:
                raise DataError(f"{path} has a column of another type than {model.name}: {error}") from error
            table = pa.table(columns, names)
            if table[model.key].null_count or table[model.time].null_count:
                raise DataError(f"{path} has a row without {model.key} or {model.time}")
            yield table
