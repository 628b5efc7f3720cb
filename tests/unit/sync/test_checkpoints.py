"""Checkpoints: whole or not at all, two kept, damage passed over."""

from pathlib import Path

import numpy as np
import pytest

from gradcube.errors import DataError
from gradcube.sync.checkpoints import CheckpointStore, ShardIdentity, Snapshot

IDENTITY = ShardIdentity("job", 0, 1)


def snapshot(version: int) -> Snapshot:
    values = np.full(1000, version, np.float32)
    return Snapshot(version, 4, 2, 1, 1000, values, {"velocity": values + 1})


def test_what_is_written_is_read_with_the_optimizer(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, IDENTITY)
    store.write(snapshot(7))
    found = store.newest()
    assert found is not None
    assert (found.version, found.epoch, found.attempt, found.parameters) == (7, 4, 2, 1000)
    assert np.array_equal(found.values, snapshot(7).values)
    assert np.array_equal(found.optimizer["velocity"], snapshot(7).optimizer["velocity"])


def test_the_last_two_are_kept_and_nothing_partial(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, IDENTITY)
    for version in (1, 2, 3):
        store.write(snapshot(version))
    assert store.versions() == [3, 2]
    assert len(list((tmp_path / "job").iterdir())) == 2


@pytest.mark.parametrize("damage", ["truncated", "flipped", "garbage", "empty"])
def test_a_damaged_newest_falls_back_to_the_one_before(tmp_path: Path, damage: str) -> None:
    store = CheckpointStore(tmp_path, IDENTITY)
    store.write(snapshot(1))
    path = store.write(snapshot(2))
    raw = bytearray(path.read_bytes())
    raw[-10] ^= 1
    bodies = {"truncated": raw[:-100], "flipped": raw, "garbage": b"x" * 500, "empty": b""}
    path.write_bytes(bodies[damage])
    found = store.newest()
    assert found is not None
    assert found.version == 1
    with pytest.raises(DataError, match="checkpoint"):
        store.read(2)


def test_another_shards_checkpoint_is_refused(tmp_path: Path) -> None:
    path = CheckpointStore(tmp_path, IDENTITY).write(snapshot(1))
    other = CheckpointStore(tmp_path, ShardIdentity("job", 0, 2))
    path.rename(path.with_name(path.name.replace("of-00001", "of-00002")))
    with pytest.raises(DataError, match="another directory"):
        other.read(1)
