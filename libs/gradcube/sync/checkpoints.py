"""A shard's versions on disk: safetensors files, written whole or not at all, the last two kept."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import crc32c
import numpy as np
import structlog
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from gradcube.errors import DataError
from gradcube.sync.frames import as_bytes

log = structlog.get_logger(__name__)

FloatArray = NDArray[np.float32]
KEPT = 2
_FORMAT = "gradcube-shard-1"
_VERSION = re.compile(r"-v(\d{12})\.safetensors$")
_STATE = "optimizer."


@dataclass(frozen=True)
class ShardIdentity:
    """Which piece of which job: shard of shards, and the attempt that set the parameters."""

    job: str
    shard: int
    shards: int


@dataclass(frozen=True)
class Snapshot:
    """One version of a shard: `values` (p,) of the job's `parameters`, and the optimizer's state."""

    version: int
    epoch: int
    attempt: int
    fresh_since: int
    parameters: int
    values: FloatArray
    optimizer: Mapping[str, FloatArray]


class CheckpointStore:
    """The checkpoints of one shard in `directory`/JOB. Writing raises OSError; the caller goes on without."""

    def __init__(self, directory: Path, identity: ShardIdentity) -> None:
        self._identity = identity
        self._folder = directory / identity.job
        self._folder.mkdir(parents=True, exist_ok=True)
        self._stem = f"shard-{identity.shard:05d}-of-{identity.shards:05d}"

    def versions(self) -> list[int]:
        """The versions on disk, newest first."""
        names = (path.name for path in self._folder.glob(f"{self._stem}-v*.safetensors"))
        return sorted((int(match[1]) for name in names if (match := _VERSION.search(name))), reverse=True)

    def write(self, snapshot: Snapshot) -> Path:
        """Writes `snapshot` beside, syncs, renames; then removes all but the last two."""
        path = self._path(snapshot.version)
        tensors = {"values": snapshot.values, **{_STATE + name: a for name, a in snapshot.optimizer.items()}}
        partial = path.with_suffix(".partial")
        try:
            save_file(tensors, partial, metadata=_metadata(snapshot, self._identity, tensors))
            _sync(partial)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        _sync(self._folder)
        for version in [v for v in self.versions() if v <= snapshot.version][KEPT:]:
            self._path(version).unlink(missing_ok=True)
        return path

    def read(self, version: int) -> Snapshot:
        """The checkpoint of `version`. Raises DataError when it is damaged or another shard's."""
        path = self._path(version)
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                tensors = {
                    name: file.get_tensor(name)
                    for name in file.keys()  # noqa: SIM118 - it is no dict
                }
        except (OSError, SafetensorError) as error:
            raise DataError(f"checkpoint {path} cannot be read: {error}") from error
        return _snapshot(path, metadata, tensors, self._identity)

    def newest(self) -> Snapshot | None:
        """The newest checkpoint that can be read, or None; what is damaged is passed over with a warning."""
        for version in self.versions():
            try:
                return self.read(version)
            except DataError as error:
                log.warning("checkpoint_passed_over", version=version, error=str(error))
        return None

    def forget(self, above: int) -> None:
        """Removes checkpoints of versions above `above`: the job went back and makes them anew."""
        for version in self.versions():
            if version > above:
                self._path(version).unlink(missing_ok=True)

    def _path(self, version: int) -> Path:
        return self._folder / f"{self._stem}-v{version:012d}.safetensors"


def _metadata(snapshot: Snapshot, identity: ShardIdentity, tensors: Mapping[str, FloatArray]) -> dict[str, str]:
    about = {
        "format": _FORMAT,
        **asdict(identity),
        **{name: getattr(snapshot, name) for name in ("version", "epoch", "attempt", "fresh_since", "parameters")},
        "crc32c": {name: _crc(array) for name, array in tensors.items()},
    }
    return {"gradcube": json.dumps(about)}


def _snapshot(
    path: Path, metadata: Mapping[str, str], tensors: Mapping[str, FloatArray], identity: ShardIdentity
) -> Snapshot:
    try:
        about = json.loads(metadata["gradcube"])
        found = (about["format"], about["job"], about["shard"], about["shards"])
        wanted = (_FORMAT, identity.job, identity.shard, identity.shards)
        if found != wanted:
            raise DataError(f"checkpoint {path} is of {found}, expected {wanted}: give another directory")
        # safetensors checks the layout, not the values
        if about["crc32c"] != {name: _crc(array) for name, array in tensors.items()}:
            raise DataError(f"checkpoint {path} is damaged: its values do not match their checksums")
        state = {name.removeprefix(_STATE): a for name, a in tensors.items() if name.startswith(_STATE)}
        numbers = {name: int(about[name]) for name in ("version", "epoch", "attempt", "fresh_since", "parameters")}
        return Snapshot(**numbers, values=tensors["values"], optimizer=state)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"checkpoint {path} is not gradcube's: {error!r}") from error


def _crc(array: FloatArray) -> int:
    return int(crc32c.crc32c(as_bytes(np.ascontiguousarray(array))))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
