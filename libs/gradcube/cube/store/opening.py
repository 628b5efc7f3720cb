"""What a crash may have left behind, removed before anything is read; and what no crash leaves, refused."""

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from gradcube.cube.store.manifest import Segment
from gradcube.errors import ConfigError


def remove_orphans(directory: Path, named: Collection[str]) -> int:
    """Deletes every file below `directory`/segments that the manifest does not name, and empty folders; how many."""
    removed = 0
    for path, _, names in os.walk(directory / "segments", topdown=False):
        folder = Path(path)
        for name in names:
            if str((folder / name).relative_to(directory)) not in named:
                (folder / name).unlink()
                removed += 1
        if not any(folder.iterdir()):
            folder.rmdir()
    return removed


def missing_files(directory: Path, segments: Iterable[Segment]) -> None:
    """Raises ConfigError that names a file which the manifest counts and which is not as it was written."""
    for one in segments:
        path = directory / one.path
        size_bytes = path.stat().st_size if path.is_file() else -1
        if size_bytes != one.num_bytes:
            state = "is missing" if size_bytes < 0 else f"has {size_bytes} bytes, it was written with {one.num_bytes}"
            raise ConfigError(
                f"{path} {state}: the disk lost it, or somebody changed it; restore it, or name another store, which "
                "is filled from the topics and from an export"
            )
