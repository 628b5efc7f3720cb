"""`python -m tests.chaos.store_writer DIRECTORY SEED [CALL NUMBER]`: writes rows, merges, until it is killed.

With CALL and NUMBER it kills itself with SIGKILL before or after the NUMBER-th call of os.CALL or of the commit. It
ends with 3 when the disk, or its limit of a file's size, refuses a write.
"""

import os
import random
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from tests.unit.cube.facts import fact
from tests.unit.cube.store.stand import FACTS, TOPIC

from gradcube.cube.columns import decode_facts
from gradcube.cube.store import Compactor, Store, StoreSettings
from gradcube.cube.store import store as store_module
from gradcube.events.facts import Fact, encode_fact

MODEL = replace(FACTS, topic=TOPIC)
SETTINGS = StoreSettings(max_keys=4000, fan_in=3, pause_seconds=0.005, settle_seconds=0.5)
PLACE = (TOPIC, 0)
REFUSED = 3


def record(offset: int) -> Fact:
    """What lies in the topic at that offset: seven days to 20 000 records, and every ninth repeats an older one."""
    number = offset // 2 if offset % 9 == 0 else offset
    return fact(number * 3, job=f"job-{number % 5}", metric=f"metric-{number % 7}")


def batch(first: int, seed: int) -> pa.Table:
    """As many records from `first` on as the seed says."""
    length = random.Random(f"{seed}/{first}").choice([1, 20, 300, 600])
    rows, bad = decode_facts([encode_fact(record(offset)) for offset in range(first, first + length)], MODEL)
    assert not bad
    return rows


def main(directory: Path, seed: int, call: str | None, number: int) -> int:
    if call is not None:
        arm(call, number)
    store = Store(directory, [MODEL], SETTINGS)
    compactor = Compactor(store)
    compactor.start()
    try:
        while True:
            first = store.offsets("FACTS").get(PLACE, 0)
            rows = batch(first, seed)
            store.write("FACTS", rows, {PLACE: first + rows.num_rows}, {"bad_records": 1})
            assert compactor.reason is None, compactor.reason
    except (OSError, sqlite3.Error, duckdb.Error, AssertionError):
        compactor.stop()
        store.close()
        return REFUSED


def arm(call: str, number: int) -> None:
    """Replaces the call by one that ends this process at its `number`-th time."""
    calls: Iterator[int] = iter(range(1, 1 << 30))

    def deadly(real: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **options: Any) -> Any:
            due = next(calls) == number
            if due and number % 2:
                os.kill(os.getpid(), signal.SIGKILL)
            answer = real(*arguments, **options)
            if due:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return called

    if call == "commit":
        store_module.Manifest.note = deadly(store_module.Manifest.note)  # type: ignore[method-assign]
    elif call == "rename":
        Path.rename = deadly(Path.rename)  # type: ignore[method-assign]
    elif call == "unlink":
        Path.unlink = deadly(Path.unlink)  # type: ignore[method-assign]
    else:
        os.fsync = deadly(os.fsync)


if __name__ == "__main__":
    deadly_call = sys.argv[3] if len(sys.argv) > 3 else None
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), deadly_call, int(sys.argv[4]) if deadly_call else 0))
