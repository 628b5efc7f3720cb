"""The same questions to the engine in this process and to the pool: the same cells."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from gradcube.cube.answers import Answerer, Limits
from gradcube.cube.engine import Engine
from gradcube.cube.sandbox.answering import PoolAnswerer
from tests.unit.cube.facts import value

from gradcube.cube.columns import decode_facts
from gradcube.cube.model import Catalog, CubeModel, load_cube
from gradcube.cube.sandbox.pool import QueryPool
from gradcube.cube.sandbox.request import PoolSettings, View
from gradcube.cube.translate import Statement, translate
from gradcube.errors import QueryError

LIMITS = Limits(rows=50, workers=1, timeout_seconds=20)
QUESTIONS = [
    "select * from facts order by ts",
    "select job, count(*), sum(metric_value), avg(metric_value), min(ts), max(minute_start) from facts group by job",
    "select count(distinct metric), count(distinct fact_id) from facts where metric_value > 7.5",
    "select floor(ts to minute) m, sum(samples) from facts group by floor(ts to minute) order by 1",
    "with a as (select job, metric_value v from facts) select job, max(v) - min(v) from a group by job",
    "select day_start, hour_start, timestampdiff(second, min(ts), max(ts)) from facts group by day_start, hour_start",
    "select metric_value / 3, samples / 2, 1e9 * metric_value, null, true from facts order by ts",
    "select metric_value, row_number() over (order by ts desc) from facts order by ts",
    "select percentile_approx(metric_value, 0.5) from facts",
    "select job from facts where ts < {ts '2026-11-24 04:01:00'} union all select model from facts",
    "select job from facts where 1 = 0",
    "select cast(metric_value as decimal(12, 3)), cast(ts as date), upper(job) from facts order by ts",
]


@pytest.fixture(scope="module")
def model() -> CubeModel:
    return replace(load_cube(), rollups=())


@pytest.fixture(scope="module")
def engine(model: CubeModel) -> Iterator[Engine]:
    engine = Engine(model, None, memory_limit="256MB", threads=1)
    facts, _ = decode_facts([value(number) for number in range(100)], model)
    engine.write(facts, {("gradcube.facts", 0): 100})
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def embedded(engine: Engine, model: CubeModel) -> Iterator[Answerer]:
    answerer = Answerer(engine, model, LIMITS)
    yield answerer
    answerer.close()


@pytest.fixture(scope="module")
def pooled(engine: Engine, model: CubeModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PoolAnswerer]:
    directory = tmp_path_factory.mktemp("store")
    path = directory / "facts.parquet"
    pq.write_table(engine.cursor().execute(f'select * from "DEFAULT".{model.name}').to_arrow_table(), path)
    with QueryPool(directory, PoolSettings(workers=1, memory_bytes=256 * 2**20)) as pool:
        translated = partial(_translate, Catalog({model.name: model}))
        answerer = PoolAnswerer(pool, translated, partial(_views, path), LIMITS)
        yield answerer
        answerer.close()


def _views(path: Path, relations: Collection[str]) -> AbstractContextManager[Sequence[View]]:
    return nullcontext([View(name, f"SELECT * FROM read_parquet(['{path}'])") for name in relations])


def _translate(catalog: Catalog, sql: str, **more: Any) -> Statement:
    return translate(sql, catalog, **more)


@pytest.mark.parametrize("sql", QUESTIONS)
def test_pool_answers_as_the_embedded_engine_does(embedded: Answerer, pooled: PoolAnswerer, sql: str) -> None:
    expected, found = (one.submit(sql, limit=0).result(60) for one in (embedded, pooled))
    assert found.columns == expected.columns
    assert found.rows == expected.rows
    assert found.partial == expected.partial


@pytest.mark.parametrize(("limit", "rows", "cut"), [(0, 50, True), (10, 10, False), (500, 50, True)])
def test_only_the_servers_own_limit_makes_an_answer_partial(
    pooled: PoolAnswerer, limit: int, rows: int, cut: bool
) -> None:
    answer = pooled.submit("select job from facts", limit=limit).result(60)
    assert (len(answer.rows), answer.partial) == (rows, cut)


def test_arrow_keeps_the_engines_types(pooled: PoolAnswerer) -> None:
    result = pooled.arrow("select ts, metric_value, job from facts order by ts limit 3", limit=0).result(60)
    assert result.types == ("TIMESTAMP", "DOUBLE", "VARCHAR")
    assert [name for batch in result.batches for name in batch.to_pydict()["JOB"]] == ["bert"] * 3


@pytest.mark.parametrize("sql", ["select nope from facts", "drop table facts", "select * from other"])
def test_error_is_the_same(embedded: Answerer, pooled: PoolAnswerer, sql: str) -> None:
    messages = []
    for one in (embedded, pooled):
        with pytest.raises(QueryError) as caught:
            one.submit(sql, limit=0).result(60)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
