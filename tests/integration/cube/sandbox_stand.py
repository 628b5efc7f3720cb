"""A store's directory with a view over one of its files, a file that no view shows, and one outside."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gradcube.cube.sandbox.request import Request, View

CANARY = "canary-7f3a"
ROWS = 100_000


@dataclass(frozen=True)
class Stand:
    directory: Path
    inside: Path
    secret: Path

    @property
    def views(self) -> tuple[View, ...]:
        return (View("FACTS", f"SELECT * FROM read_parquet(['{self.directory / 'facts.parquet'}'])"),)

    def request(self, sql: str, *, timeout_seconds: float = 20.0, **more: object) -> Request:
        return Request(sql, self.views, timeout_seconds=timeout_seconds, **more)  # type: ignore[arg-type]


def build(directory: Path) -> Stand:
    store = directory / "store"
    store.mkdir()
    jobs = pa.array([f"job-{number % 7}" for number in range(ROWS)])
    facts = pa.table({"JOB": jobs, "N": pa.array(range(ROWS)), "VALUE": pa.array([n / 4 for n in range(ROWS)])})
    pq.write_table(facts, store / "facts.parquet")
    pq.write_table(pa.table({"canary": [CANARY]}), store / "inside.parquet")
    (directory / "secret.txt").write_text(CANARY)
    return Stand(store, store / "inside.parquet", directory / "secret.txt")
