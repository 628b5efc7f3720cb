"""The ten questions of docs/questions.md over 22 million facts: through the query pool, in plain DuckDB, in SQLite."""

import math
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from gradcube.cube.model import Catalog, load_catalog
from gradcube.settings import KafkaSettings
from tests.bench.facts.engines import Engine, Gradcube, IndexedSQLite, PlainDuckDB, Rows
from tests.bench.facts.fleet import DAYS, jobs, series
from tests.bench.facts.tables import Tables
from tests.bench.figure import Figure
from tests.integration.cube.gateway_process import GatewayProcess
from tests.integration.questions.page import Question, questions
from tests.integration.questions.stand import open_connection

GOAL_SECONDS = 1.0
DAY_MILLIS = 86_400_000
NOBODY = KafkaSettings(bootstrap="127.0.0.1:1")


@dataclass(frozen=True)
class Size:
    """Runs, and how often each question is asked of gradcube, of DuckDB and of SQLite."""

    runs: int
    rounds: tuple[int, int, int]


@dataclass(frozen=True)
class Asked:
    """Answer and seconds of each question, by its number; the first asking is apart."""

    answers: dict[int, Rows]
    first: dict[int, float]
    seconds: dict[int, list[float]]

    def p95(self, number: int) -> float:
        """Seconds."""
        return float(np.quantile(self.seconds[number], 0.95))

    def median(self, number: int) -> float:
        """Seconds."""
        return float(np.median(self.seconds[number]))


def run(quick: bool) -> list[Figure]:
    """Facts of 1 500 runs of ten minutes with 1 500 series each. All three answer alike, or there is no figure."""
    size = Size(20, (5, 2, 1)) if quick else Size(1500, (40, 5, 2))
    catalog, asked = load_catalog(), [one for one in questions() if one.is_benchmark]
    with tempfile.TemporaryDirectory(prefix="gradcube-bench-") as name:
        ours, http = _ours(Path(name), catalog, size, asked)
        duck = _other("DuckDB", PlainDuckDB(Path(name) / "facts.duckdb", catalog), size.runs, asked, size.rounds[1])
        (Path(name) / "facts.duckdb").unlink()
        lite = _other("SQLite", IndexedSQLite(Path(name) / "facts.sqlite", catalog), size.runs, asked, size.rounds[2])
    for other in (duck, lite):
        _compare(asked, ours.answers, other.answers)
    return _figures(size, asked, ours, http, {"plain DuckDB": duck, "SQLite": lite})


def _ours(directory: Path, catalog: Catalog, size: Size, asked: Sequence[Question]) -> tuple[Asked, list[float]]:
    """In this process and through HTTP, of one store."""
    with closing(Gradcube(directory / "store", catalog)) as engine:
        _fill("gradcube", engine, size.runs)
        began = time.monotonic()
        engine.merge()
        _say(f"gradcube: merged in {time.monotonic() - began:.0f} s")
        found = _ask(engine, asked, size.rounds[0])
    return found, _through_http(directory, asked, size.rounds[0] // 2)


def _other(
    name: str, engine: PlainDuckDB | IndexedSQLite, runs: int, asked: Sequence[Question], rounds: int
) -> Asked:  # fmt: skip
    with closing(engine):
        _fill(name, engine, runs)
        return _ask(engine, asked, rounds)


def _fill(name: str, engine: Engine, runs: int) -> None:
    began = time.monotonic()
    engine.fill(_told(name, _tables(runs), runs))
    taken = time.monotonic() - began
    _say(f"{name}: filled in {taken:.0f} s")


def _tables(runs: int) -> Iterator[pa.Table]:
    """Over the three months before today, so that no day is past the cube's own; the same numbers each time."""
    first_day_millis = (int(time.time()) // 86_400 - DAYS - 1) * DAY_MILLIS
    return Tables(load_catalog().cubes["FACTS"], series()).of(jobs(runs, first_day_millis))


def _told(name: str, tables: Iterator[pa.Table], runs: int) -> Iterator[pa.Table]:
    for number, table in enumerate(tables, 1):
        if number % 150 == 0:
            _say(f"{name}: {number} of {runs} runs")
        yield table


def _ask(engine: Engine, asked: Sequence[Question], rounds: int) -> Asked:
    found = Asked({}, {}, {})
    for one in asked:
        seconds = []
        for _ in range(rounds + 1):
            began = time.monotonic()
            found.answers[one.number] = engine.ask(one)
            seconds.append(time.monotonic() - began)
        found.first[one.number], found.seconds[one.number] = seconds[0], seconds[1:]
        _say(f"{one.number:3} {one.title:70} {seconds[0]:8.3f} s, then {np.median(seconds[1:]):8.3f} s")
    return found


def _through_http(directory: Path, asked: Sequence[Question], rounds: int) -> list[float]:
    """Seconds of each asking through a gateway of its own, as Arrow to rows of Python."""
    gateway, seconds = GatewayProcess(directory, NOBODY), []
    gateway.start()
    try:
        with open_connection(gateway) as connection:
            for one in [question for question in asked for _ in range(rounds + 1)]:
                rows = connection.query(one.sql, progress=False)
                assert rows.rows
                seconds.append(rows.seconds)
    finally:
        gateway.stop()
    return [taken for at, taken in enumerate(seconds) if at % (rounds + 1)]


def _compare(asked: Sequence[Question], ours: dict[int, Rows], others: dict[int, Rows]) -> None:
    for one in asked:
        mine, other = ours[one.number], others[one.number]
        assert mine, f"question {one.number} has no answer"
        assert len(mine) == len(other), f"question {one.number}: {len(mine)} rows and {len(other)}"
        for own, wanted in zip(mine, other, strict=True):
            alike = all(_is_alike(a, b) for a, b in zip(own, wanted, strict=True))
            assert alike, f"question {one.number}: {own} and {wanted}"


def _is_alike(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9)
    return one == other


def _figures(
    size: Size, asked: Sequence[Question], ours: Asked, http: list[float], others: dict[str, Asked]
) -> list[Figure]:  # fmt: skip
    numbers, facts = [one.number for one in asked], size.runs * 15_000
    slowest = max(numbers, key=ours.p95)
    details = {f"question_{number}_p95_ms": 1000 * ours.p95(number) for number in numbers}
    details |= {"facts": float(facts), "slowest_first_ms": 1000 * max(ours.first.values())}
    note = f"question {slowest}; the other nine {', '.join(f'{ours.p95(n):.2f}' for n in numbers if n != slowest)} s"
    p95, over_http = ours.p95(slowest), float(np.quantile(http, 0.95))
    name, goal = f"SQL over {facts / 1e6:.1f} M facts", f"<= {GOAL_SECONDS:g}"
    return [
        Figure(f"{name}, p95 of the slowest of ten", p95, "s", goal, p95 <= GOAL_SECONDS, note, details),
        Figure(f"{name}, p95 over HTTP", over_http, "s", goal, over_http <= GOAL_SECONDS, f"{len(http)} answers"),
        *(_ratio(name, other, numbers, ours, found) for other, found in others.items()),
    ]


def _ratio(name: str, other: str, numbers: Sequence[int], ours: Asked, found: Asked) -> Figure:
    ratios = {number: found.median(number) / ours.median(number) for number in numbers}
    mean = math.exp(sum(map(math.log, ratios.values())) / len(ratios))
    least = min(ratios, key=lambda number: ratios[number])
    note = f"geometric mean of medians; least {ratios[least]:.2f} (question {least}), most {max(ratios.values()):.0f}"
    details = {f"question_{number}_ms": 1000 * found.median(number) for number in numbers}
    return Figure(f"{name} against {other}", mean, "x", "> 1", mean > 1, note, details)


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")
