"""Whole files or none: a draft is written, made safe on the disk, and only then gets its name."""

import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem

from gradcube.errors import ConfigError

DRAFT = ".draft"


def write_parquet(path: Path, table: pa.Table, repeated: Sequence[str]) -> int:
    """Returns the file's size in bytes, when the disk has it. Raises OSError, and then there is no file.

    `repeated` names the columns whose values come again and again: to look for that in others costs half of the time.
    """
    make_directory(path.parent)
    draft = path.with_name(path.name + DRAFT)
    try:
        # By name, not into a Python file: each flush of a column would wait for Python's lock.
        local = LocalFileSystem()
        pq.write_table(
            table,
            str(draft),
            filesystem=local,
            compression="lz4",
            coerce_timestamps="us",
            use_dictionary=list(repeated),
        )
        sync_file(draft)
        return adopt(draft, path)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def adopt(draft: Path, path: Path) -> int:
    """Gives a draft that is safe on the disk its name; returns its size in bytes."""
    size_bytes = draft.stat().st_size
    draft.rename(path)
    sync_directory(path.parent)
    return size_bytes


def sync_file(path: Path) -> None:
    """Returns when the disk has its content."""
    _sync(path, os.O_RDWR)


def sync_directory(path: Path) -> None:
    """Returns when the disk has its names."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def make_directory(path: Path) -> None:
    """With its parents; every new name is safe on the disk."""
    if path.is_dir():
        return
    make_directory(path.parent)
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    sync_directory(path.parent)


def lock(directory: Path) -> int:
    """A descriptor that holds the directory for this process until it is closed. Raises ConfigError."""
    path = directory / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise ConfigError(
            f"store {directory} cannot be opened for writing: process {holder} has it open; end that, or name another "
            "directory"
        ) from error
    with suppress(OSError):  # the disk may be full; the lock holds all the same
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
