"""The query pool with real child processes: answers, limits, deaths, cancels, many clients, nothing left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from tests.integration.cube import sandbox_stand
from tests.integration.cube.sandbox_stand import ROWS, Stand
from tests.waiting import wait_until

from gradcube.cube.sandbox.pool import QueryPool
from gradcube.cube.sandbox.request import Busy, Cancelled, EngineLost, EngineMissing, PoolSettings, Request, TimedOut
from gradcube.errors import QueryError

SMALL = PoolSettings(workers=2, memory_bytes=256 * 2**20)
ENDLESS = "select count(*) from FACTS a, FACTS b, FACTS c where a.VALUE * b.VALUE + c.VALUE = 1"


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Stand:
    return sandbox_stand.build(tmp_path_factory.mktemp("sandbox"))


@pytest.fixture(scope="module")
def pool(stand: Stand) -> Iterator[QueryPool]:
    with QueryPool(stand.directory, SMALL) as pool:
        yield pool


def test_answers_from_files_as_arrow(pool: QueryPool, stand: Stand) -> None:
    result = pool.run(stand.request('select JOB, count(*) n from "DEFAULT".FACTS group by JOB order by JOB limit 2'))
    assert [row for batch in result.batches for row in batch.to_pylist()] == [
        {"JOB": "job-0", "n": 14286}, {"JOB": "job-1", "n": 14286},
    ]  # fmt: skip
    assert (result.types, result.partial, result.rows) == (("VARCHAR", "BIGINT"), False, 2)


def test_empty_answer_has_its_columns(pool: QueryPool, stand: Stand) -> None:
    result = pool.run(stand.request("select JOB from FACTS where N < 0"))
    assert (result.schema.names, result.rows) == (["JOB"], 0)


def test_rows_over_the_limit_are_cut_and_said(pool: QueryPool, stand: Stand) -> None:
    result = pool.run(stand.request("select * from FACTS", max_rows=30_001))
    assert (result.rows, result.partial) == (30_001, True)
    assert not pool.run(stand.request("select * from FACTS", max_rows=ROWS)).partial


def test_bytes_over_the_limit_are_an_error(pool: QueryPool, stand: Stand) -> None:
    with pytest.raises(QueryError, match="larger than 100000 bytes"):
        pool.run(stand.request("select * from FACTS", max_bytes=100_000))


def test_view_lasts_as_long_as_its_query(pool: QueryPool, stand: Stand) -> None:
    pool.run(stand.request("select 1 from FACTS limit 1"))
    for _ in range(4):
        with pytest.raises(QueryError, match="Object 'FACTS' not found"):
            pool.run(Request("select * from FACTS"))


def test_error_of_the_engine_names_the_column(pool: QueryPool, stand: Stand) -> None:
    with pytest.raises(QueryError, match="Column 'NOPE' not found"):
        pool.run(stand.request('select "NOPE" from FACTS'))


def test_query_past_its_time_ends_and_the_next_is_answered(pool: QueryPool, stand: Stand) -> None:
    with pytest.raises(TimedOut, match="timeout after 1 seconds"):
        pool.run(stand.request(ENDLESS, timeout_seconds=1))
    assert pool.run(stand.request("select count(*) from FACTS")).rows == 1


def test_running_query_tells_progress_and_can_be_cancelled(pool: QueryPool, stand: Stand) -> None:
    request = stand.request(ENDLESS, timeout_seconds=60)
    future = pool.submit(request)

    def percent() -> float | None:
        progress = pool.progress(request.id)
        return None if progress is None else progress.percent

    wait_until(lambda: percent() is not None, 20, "progress is told")
    assert pool.cancel(request.id)
    with pytest.raises(Cancelled):
        future.result(20)
    assert not pool.cancel(request.id)
    assert pool.progress(request.id) is None


def test_child_killed_in_a_query_costs_that_query_only(stand: Stand) -> None:
    with QueryPool(stand.directory, PoolSettings(workers=1, memory_bytes=256 * 2**20)) as pool:
        lost = pool.submit(stand.request(ENDLESS, timeout_seconds=60, id="lost"))
        kept = pool.submit(stand.request("select count(*) from FACTS"))
        wait_until(lambda: (p := pool.progress("lost")) and p.percent is not None, 30, "the first one runs")
        os.kill(pool.pids()[0], signal.SIGKILL)
        with pytest.raises(EngineLost):
            lost.result(20)
        assert kept.result(20).rows == 1


def test_children_killed_while_idle_cost_nothing(pool: QueryPool, stand: Stand) -> None:
    for _ in range(3):
        for pid in pool.pids():
            os.kill(pid, signal.SIGKILL)
        for _ in range(3):
            assert pool.run(stand.request("select 1 from FACTS limit 1")).rows == 1


def test_stopped_child_is_killed_and_replaced(stand: Stand) -> None:
    with QueryPool(stand.directory, PoolSettings(workers=1, memory_bytes=256 * 2**20)) as pool:
        pool.run(stand.request("select 1"))
        [pid] = pool.pids()
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(TimedOut):
            pool.run(stand.request("select 1", timeout_seconds=0.5))
        assert not psutil.pid_exists(pid)
        assert pool.run(stand.request("select 1")).rows == 1


def test_64_clients_at_once_are_served_in_order(stand: Stand) -> None:
    ended: list[int] = []
    with QueryPool(stand.directory, PoolSettings(workers=1, memory_bytes=256 * 2**20)) as pool:
        first = pool.submit(stand.request(ENDLESS, timeout_seconds=60, id="first"))
        wait_until(lambda: (p := pool.progress("first")) and p.state == "running", 30, "the first runs")
        futures = [pool.submit(stand.request(f"select {number} from FACTS limit 1")) for number in range(64)]
        for number, future in enumerate(futures):
            future.add_done_callback(lambda _, number=number: ended.append(number))  # type: ignore[misc]
        pool.cancel("first")
        assert [future.result(60).rows for future in futures] == [1] * 64
        assert isinstance(first.exception(20), Cancelled)
    assert ended == list(range(64))


def test_full_line_is_busy_and_a_waiting_query_can_be_cancelled(stand: Stand) -> None:
    with QueryPool(stand.directory, PoolSettings(workers=1, waiting=2, memory_bytes=256 * 2**20)) as pool:
        running = pool.submit(stand.request(ENDLESS, timeout_seconds=60, id="a"))
        wait_until(lambda: (p := pool.progress("a")) and p.state == "running", 30, "the first runs")
        waiting = [pool.submit(stand.request("select 1", id=name)) for name in "bc"]
        with pytest.raises(Busy):
            pool.submit(stand.request("select 1"))
        assert pool.cancel("b")
        assert isinstance(waiting[0].exception(5), Cancelled)
        pool.cancel("a")
        assert waiting[1].result(20).rows == 1
        assert isinstance(running.exception(5), Cancelled)


def test_close_leaves_no_process_and_no_descriptor(stand: Stand) -> None:
    me = psutil.Process()
    before = (me.num_fds(), {child.pid for child in me.children()})
    for _ in range(2):
        with QueryPool(stand.directory, SMALL) as pool:
            pool.run(stand.request("select 1"))
            running = pool.submit(stand.request(ENDLESS, timeout_seconds=60, id="x"))
            wait_until(lambda: (p := pool.progress("x")) and p.percent is not None, 30, "it runs")
            pool.close(grace_seconds=0)
            assert isinstance(running.exception(5), Cancelled)
        with pytest.raises(Busy):
            pool.submit(stand.request("select 1"))
    assert (me.num_fds(), {child.pid for child in me.children()}) == before


def test_children_end_with_their_parent(stand: Stand) -> None:
    script = (
        "import sys,pathlib;from gradcube.cube.sandbox.pool import QueryPool;"
        "from gradcube.cube.sandbox.request import Request,PoolSettings;"
        "p=QueryPool(pathlib.Path(sys.argv[1]),PoolSettings(memory_bytes=2**28));p.run(Request('select 1'));"
        "print(*p.pids(),flush=True);sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(stand.directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    parent.kill()
    parent.wait()
    wait_until(lambda: not any(_runs(pid) for pid in pids), 10, "the children end")
    parent.stdout.close()
    assert parent.stdin is not None
    parent.stdin.close()


def test_directory_that_is_missing_is_said(tmp_path: Path) -> None:
    with (
        QueryPool(tmp_path / "gone", PoolSettings(workers=1)) as pool,
        pytest.raises(EngineMissing, match="cannot be started"),
    ):
        pool.run(Request("select 1"))


def test_many_threads_share_it(pool: QueryPool, stand: Stand) -> None:
    with ThreadPoolExecutor(16) as clients:
        answers = clients.map(lambda n: pool.run(stand.request(f"select {n} + count(*) from FACTS")), range(64))
        assert [one.batches[0].column(0)[0].as_py() - ROWS for one in answers] == list(range(64))


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
