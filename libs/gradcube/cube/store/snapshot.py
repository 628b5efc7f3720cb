"""What a query reads: trusted SQL text over the files that counted when the snapshot was taken."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from gradcube.cube.store.catalogue import View
from gradcube.cube.store.manifest import Segment, Version
from gradcube.cube.store.relations import ARRIVAL, Layout, Relation


class Snapshot:
    """`with store.snapshot() as snapshot: snapshot.select("FACTS")`. No file of it goes before it is closed."""

    def __init__(
        self, directory: Path, view: View, layouts: Mapping[Version, Layout], release: Callable[[View], None]
    ) -> None:
        self._directory, self._view, self._layouts, self._release = directory, view, layouts, release
        self._closed = False

    def relations(self) -> tuple[str, ...]:
        """What `select` knows: each cube and its rollups, as they are in the version that readers see."""
        return tuple(one.name for layout in self._seen() for one in layout.relations)

    def select(self, relation: str) -> str:
        """A SELECT of all columns in the order of `select *`, also while there is no file. Raises KeyError."""
        for layout in self._seen():
            for one in layout.relations:
                if one.name == relation:
                    version = self._view.versions[layout.cube]
                    return select(self._directory, layout, one, self._view.segments(layout.cube, version, relation))
        raise KeyError(relation)

    def columns(self, relation: str) -> tuple[tuple[str, str], ...]:
        """Name and DuckDB type of each column of `select`. Raises KeyError."""
        for layout in self._seen():
            for one in layout.relations:
                if one.name == relation:
                    return one.columns
        raise KeyError(relation)

    def segments(self, relation: str) -> tuple[Segment, ...]:
        """The files behind it."""
        return next(
            (those for (cube, version, name), those in self._view.live.items()
             if name == relation and self._view.versions.get(cube) == version), (),
        )  # fmt: skip

    def close(self) -> None:
        """Its files may go now."""
        if not self._closed:
            self._closed = True
            self._release(self._view)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _seen(self) -> list[Layout]:
        return [self._layouts[cube, version] for cube, version in self._view.versions.items()]


def select(directory: Path, layout: Layout, relation: Relation, segments: Iterable[Segment]) -> str:
    """DuckDB's text; of a cube that keeps the latest, the row with the greatest time of each key."""
    paths = [directory / one.path for one in segments]
    if not paths:
        nothing = ", ".join(f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in relation.columns)
        return f"SELECT {nothing} WHERE false"
    return rows(layout, relation, paths)


def rows(layout: Layout, relation: Relation, paths: Iterable[Path], *, where: str = "", extra: str = "") -> str:
    """The rows of files with `extra` columns at the end; of a cube that keeps the latest, one of each key."""
    columns = ", ".join(f'"{name}"' for name, _ in relation.columns)
    if not layout.latest:
        return f"SELECT {columns}{extra} FROM {read(paths)}{where}"  # noqa: S608 - names of the cube, our own paths
    newest = f'PARTITION BY "{layout.key}" ORDER BY "{layout.time}" DESC, "{ARRIVAL}" DESC'
    before = f"({newest} ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)"
    carried = [f'first_value("{name}" IGNORE NULLS) OVER {before} AS "{name}"' for name in layout.carry]
    replaced = f" REPLACE ({', '.join(carried)})" if carried else ""
    ranked = f"SELECT *{replaced} FROM {read(paths)}{where} QUALIFY row_number() OVER ({newest}) = 1"  # noqa: S608
    return f"SELECT {columns}{extra} FROM ({ranked})"  # noqa: S608 - as above


def read(paths: Iterable[Path]) -> str:
    """The table function over those files."""
    quoted = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
    return f"read_parquet([{quoted}], hive_partitioning = false)"
