"""A writer of a store, with merges on, killed at random moments and at chosen calls, and with a disk that is full.

After each death the store opens, and holds exactly what lies in the topic before its offset. GRADCUBE_CHAOS_SEED and
GRADCUBE_CHAOS_KILLS make other and longer runs.
"""

import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.chaos.store_writer import MODEL, PLACE, REFUSED, SETTINGS, batch, record
from tests.unit.cube.store.stand import ask, files_of

from gradcube.cube.store import Compactor, Store

SEED = int(os.environ.get("GRADCUBE_CHAOS_SEED", "7"))
KILLS = int(os.environ.get("GRADCUBE_CHAOS_KILLS", "36"))
CALLS = ("fsync", "rename", "unlink", "commit")
SECONDS = (0.1, 1.2)


@pytest.mark.timeout(900)
def test_killed_at_any_point_it_opens_with_every_row_once(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    reached, refused = 0, 0
    for number in range(KILLS):
        kind = ("moment", "call", "moment", "call", "full")[number % 5]
        ended = befall(tmp_path / "store", kind, chance)
        assert ended in (-signal.SIGKILL, REFUSED), f"writer {number} ended with {ended}; seed {SEED}"
        refused += ended == REFUSED
        reached = check(tmp_path / "store", reached)
    assert reached > 1000, "the kills left no time to write"
    assert refused > 0, "no file was ever too large"


def befall(directory: Path, kind: str, chance: random.Random) -> int:
    """One life of a writer; its exit code."""
    command = [sys.executable, "-m", "tests.chaos.store_writer", str(directory), str(SEED)]
    if kind == "call":
        command += [chance.choice(CALLS), str(chance.choice([1, 2, 3, 5, 8, 13, 20, 31, 50, 79, 120]))]
    full = chance.randrange(30_000, 300_000) if kind == "full" else None
    process = subprocess.Popen(command, preexec_fn=limit(full), stderr=subprocess.PIPE, text=True)
    try:
        _, said = process.communicate(timeout=chance.uniform(*SECONDS) + 1.0 if kind == "moment" else 20)
        assert process.returncode in (-signal.SIGKILL, REFUSED), said
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
    return process.returncode


def limit(file_bytes: int | None) -> Callable[[], None] | None:
    """No file of the process may grow beyond it: a disk that is full in the middle of any write."""
    if file_bytes is None:
        return None
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))


def check(directory: Path, reached: int) -> int:
    """Nothing lost, nothing doubled, no file too many; returns the offset that the store has come to."""
    with closing(Store(directory, [MODEL], SETTINGS)) as store:
        offset = store.offsets("FACTS").get(PLACE, 0)
        assert offset >= reached, "offsets went back"
        fed = {row["FACT_ID"]: row for row in map(record, range(offset))}
        rows = ask(store, "SELECT FACT_ID, METRIC_VALUE FROM t")
        assert len(rows) == len(fed), f"a row is lost or doubled; seed {SEED}"
        assert dict(rows) == {key: row["METRIC_VALUE"] for key, row in fed.items()}
        counters = store.counters("FACTS")
        assert (counters["facts"], counters["duplicate_fact_ids"]) == (len(fed), offset - len(fed))
        for rollup, groups in (("BY_MINUTE", "METRIC, SUBJECT_KIND, MINUTE_START, JOB"), ("BY_JOB", "JOB, METRIC")):
            raw = f"SELECT {groups}, count(*), sum(SAMPLES), max(METRIC_VALUE) FROM t GROUP BY ALL ORDER BY ALL"
            summed = f"SELECT {groups}, sum(ROWS_COUNT), sum(SAMPLES__SUM), max(METRIC_VALUE__MAX) FROM t "
            assert ask(store, summed + "GROUP BY ALL ORDER BY ALL", f"FACTS__{rollup}") == ask(store, raw)
        live = {store.directory / one.path for those in store.view.live.values() for one in those}
        assert set(files_of(directory)) == live
    return offset


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    directory = tmp_path / "disk"
    directory.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(directory)], check=False).returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


def test_full_disk_refuses_writes_and_loses_none(tiny_disk: Path) -> None:
    with closing(Store(tiny_disk / "store", [MODEL], SETTINGS)) as store:
        refused = write_until_refused(store, 100_000)
        before = (store.rows("FACTS"), store.offsets("FACTS"))
        for _ in range(5):
            assert write_until_refused(store, 100_000) >= refused
        assert store.rows("FACTS") >= before[0]
    check(tiny_disk / "store", refused)
    subprocess.run(["mount", "-o", "remount,size=64m", str(tiny_disk)], check=True)
    with closing(Store(tiny_disk / "store", [MODEL], SETTINGS)) as store:
        assert write_until_refused(store, refused + 5000) >= refused + 5000
        Compactor(store).run_once(settled=True)
    check(tiny_disk / "store", refused + 5000)


def write_until_refused(store: Store, most: int) -> int:
    """The offset it came to."""
    while (first := store.offsets("FACTS").get(PLACE, 0)) < most:
        rows = batch(first, SEED)
        try:
            store.write("FACTS", rows, {PLACE: first + rows.num_rows})
        except (OSError, sqlite3.Error):
            return first
    return first
