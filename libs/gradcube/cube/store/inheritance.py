"""A new version of a cube takes over the rows of the one that readers see: topics keep days, the cube months."""

from collections.abc import Iterator
from contextlib import closing

import pyarrow as pa

from gradcube.cube.model import CubeModel
from gradcube.cube.store import duck
from gradcube.cube.store.batches import ARROW
from gradcube.cube.store.relations import Layout
from gradcube.cube.store.store import Store

_BATCH_ROWS = 100_000


def inherit(store: Store, cube: str) -> int:
    """Fills a new version with the rows of the one that readers see, and goes on from its offsets; how many rows.

    A dimension that the old rows lack is null in them. Nothing is done when the new version has offsets already, or
    when `is_heir` says no: then only the topic can fill it. After a crash the same call goes on. A row costs what
    writing one does. Raises OSError or sqlite3.Error.
    """
    model, seen = store.model(cube), store.view.versions[cube]
    old = store.layout((cube, seen))
    if store.offsets(cube) or not is_heir(model, old):
        return 0
    rows = sum(store.write(cube, table, {}).rows for table in _tables(store, model, old))
    nothing = pa.table({column.name: pa.array([], ARROW[column.type.name]) for column in model.wire})
    store.write(cube, nothing, store.offsets(cube, seen))
    return rows


def is_heir(model: CubeModel, old: Layout) -> bool:
    """Whether rows of the old version are what the same records would be now, but for dimensions that are new.

    Records must have been chosen and read in the same way; only fields of an unpivoted record may be added.
    """
    kinds = dict(old.raw.columns)
    added = {column.name for column in model.wire if column.name not in kinds}
    gone = kinds.keys() - {column.name for column in model.columns}
    ours = {one for one in model.reading if one[0].split()[0] not in added}
    theirs = {one for one in old.reading if one[0].split()[0] not in gone}
    return (
        (old.time, old.key) == (model.time, model.key)
        and all(kinds[column.name] == column.type.name for column in model.wire if column.name not in added)
        and all(column.kind == "dimension" for column in model.wire if column.name in added)
        and theirs <= ours
        and all(what.startswith("unpivot ") for what, _ in ours - theirs)
    )


def left_behind(store: Store, cube: str) -> int:
    """Rows that readers would no longer see if they saw the new version now: those before its first one."""
    view, seen = store.view, store.view.versions[cube]
    first = min((one.first_millis for one in view.segments(cube, store.fed(cube), cube)), default=None)
    old = view.segments(cube, seen, cube) if seen != store.fed(cube) else ()
    return sum(one.num_rows for one in old if first is None or one.last_millis < first)


def _tables(store: Store, model: CubeModel, old: Layout) -> Iterator[pa.Table]:
    kinds = dict(old.raw.columns)
    columns = ", ".join(f'"{column.name}"' for column in model.wire if column.name in kinds)
    with store.snapshot() as snapshot, closing(duck.connect(store.directory, store.settings.memory_limit)) as db:
        found = db.sql(f"SELECT {columns} FROM ({snapshot.select(model.name)})")  # noqa: S608 - names of the cube
        for batch in found.to_arrow_reader(_BATCH_ROWS):
            yield pa.table({
                column.name: batch[column.name].cast(kind) if column.name in kinds else pa.nulls(batch.num_rows, kind)
                for column, kind in ((column, ARROW[column.type.name]) for column in model.wire)
            })  # fmt: skip
