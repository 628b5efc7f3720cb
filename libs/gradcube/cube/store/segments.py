"""Rows of one write in, their segments on the disk out: each day's raw rows, and their sums for each rollup."""

import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from gradcube.cube.model import CubeModel
from gradcube.cube.store import batches, files
from gradcube.cube.store.manifest import Segment, Version
from gradcube.cube.store.relations import Layout, Relation


def lay_down(directory: Path, version: Version, model: CubeModel, layout: Layout, rows: pa.Table) -> list[Segment]:
    """They are whole and safe on the disk, and count once the manifest says so. Raises OSError, and leaves nothing."""
    segments: list[Segment] = []
    try:
        for day, own in batches.by_day(rows, layout.time):
            moments = batches.millis(own, layout.time)
            span = int(moments.min()), int(moments.max())
            raw = batches.stored(own, model, layout)
            for relation in layout.relations:
                table = batches.summed(raw, model, relation) if relation.groups else raw
                path = new_path(version, relation.name, day)
                size_bytes = files.write_parquet(directory / path, table, _repeated(layout, relation))
                segments.append(Segment(path, *version, relation.name, day, table.num_rows, size_bytes, *span, 0))
    except BaseException:
        unlink(directory, segments)
        raise
    return segments


def _repeated(layout: Layout, relation: Relation) -> list[str]:
    """Dimensions but the key, and times; measures and keys are all different."""
    return [name for name, kind in relation.columns if kind not in ("DOUBLE", "BIGINT") and name != layout.key]


def new_path(version: Version, relation: str, day: str) -> str:
    """Of a segment to be written, relative to the store."""
    return f"segments/{version[0]}/{version[1]}/{relation}/{day}/{uuid.uuid4().hex}.parquet"


def unlink(directory: Path, segments: Iterable[Segment]) -> None:
    """Removes their files, those that are there."""
    for one in segments:
        with suppress(FileNotFoundError):
            (directory / one.path).unlink()
