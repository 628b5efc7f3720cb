"""Hostile statements straight into the child, past the guard: nothing read, written or sent, ended in time."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic

import psutil
import pytest
from tests.integration.cube import sandbox_stand
from tests.integration.cube.sandbox_stand import CANARY, Stand
from tests.unit.cube.hostile import STATEMENTS, drawn, filled

from gradcube.cube.sandbox.pool import QueryPool
from gradcube.cube.sandbox.request import PoolSettings, Result
from gradcube.errors import QueryError

TIMEOUT_SECONDS = 0.5
MEMORY_BYTES = 256 * 2**20
HEAVY = [
    "select count(*) from FACTS a, FACTS b, FACTS c where a.VALUE * b.VALUE + c.VALUE = 1",
    "select max(a.JOB || b.JOB || c.JOB) from FACTS a, FACTS b, FACTS c",
    "select count(*) from FACTS group by cube(JOB, N, VALUE, N + 1, N + 2, N + 3, N + 4, N + 5, N + 6, N + 7)",
    "select count(*) from FACTS where repeat(JOB, 200) like '" + "%o%j" * 400 + "z'",
    "select count(distinct a.N * b.N) from FACTS a, FACTS b",
    "select a.N from FACTS a, FACTS b order by a.N * b.N desc",
    "select sum(a.N) over (order by b.N rows between unbounded preceding and current row) from FACTS a, FACTS b",
    "select list(a.JOB) from FACTS a, FACTS b",
    "select repeat(JOB, 1000000) from FACTS",
    "select list_sum(list_transform(range(200000000), lambda x: x * 2))",
    "select len(range(1000000000))",
    "select repeat('x', 1000000000)",
    "select regexp_matches(repeat('a', 1000000), '(a|aa|aaa){500}b') from FACTS",
]


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Stand:
    return sandbox_stand.build(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def pool(stand: Stand) -> Iterator[QueryPool]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CANARY", CANARY)
        with QueryPool(stand.directory, PoolSettings(workers=1, memory_bytes=MEMORY_BYTES, threads=1)) as pool:
            pool.run(stand.request("select 1"))
            yield pool


def test_statement_that_is_written_down_does_nothing(pool: QueryPool, stand: Stand) -> None:
    _attack(pool, stand, STATEMENTS)


def test_every_one_of_240_drawn_statements_does_nothing(pool: QueryPool, stand: Stand) -> None:
    _attack(pool, stand, drawn(240, seed=2))


def test_heavy_statement_ends_in_time_and_memory(pool: QueryPool, stand: Stand) -> None:
    _attack(pool, stand, HEAVY)


def test_harmless_statement_is_answered_after_all_of_it(pool: QueryPool, stand: Stand) -> None:
    sql = "with a as (select JOB, max(N) m from FACTS group by JOB) select count(*) from a where JOB like '%1%'"
    assert pool.run(stand.request(sql)).batches[0].column(0)[0].as_py() == 1


def _attack(pool: QueryPool, stand: Stand, statements: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        before = sorted(stand.directory.parent.rglob("*"))
        target = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        for number, sql in enumerate(statements):
            place = target if number % 2 else str(stand.directory / "target")
            _attack_once(pool, stand, filled(sql, str(stand.secret), str(stand.inside), place))
        with pytest.raises(BlockingIOError):
            server.accept()
        assert sorted(stand.directory.parent.rglob("*")) == before


def _attack_once(pool: QueryPool, stand: Stand, sql: str) -> None:
    started = monotonic()
    with suppress(QueryError):
        result = pool.run(stand.request(sql, timeout_seconds=TIMEOUT_SECONDS))
        assert CANARY not in _text(result), sql[:200]
        assert str(stand.directory) not in _text(result), sql[:200]
    assert monotonic() - started < 30, sql[:200]  # generous: the bound is 1.5 s, and a busy machine
    for pid in pool.pids():
        with suppress(psutil.NoSuchProcess):
            assert psutil.Process(pid).memory_info().rss < 3 * MEMORY_BYTES + 512 * 2**20, sql[:200]


def _text(result: Result) -> str:
    return str([batch.slice(0, 1000).to_pydict() for batch in result.batches])
