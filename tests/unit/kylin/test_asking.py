"""The engine over answers that a Kylin 3.1.3 gives, from a small server in its place: tests/kylin asks a real one."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.waiting import wait_until

from gradcube.cube.kylin.asking import ANSWER, REFUSE, WAIT, Behind, KylinAsking
from gradcube.cube.kylin.watch import KylinWatch
from gradcube.cube.model import load_catalog
from gradcube.cube.questions import Answer, Limits, Question, SeesAll
from gradcube.cube.sandbox.request import Cancelled, EngineMissing, TimedOut
from gradcube.errors import QueryError
from gradcube.kylin.rest import KylinRest

SQL = "select JOB, count(*) from FACTS group by JOB"
META = [{"label": "JOB", "columnTypeName": "VARCHAR"}, {"label": "EXPR$1", "columnTypeName": "BIGINT"}]


class Kylin:
    """Server and receiver at one port: what they say can be changed while they run."""

    def __init__(self) -> None:
        self.lag: int | None = 0
        self.places, self.rows = [{"facts_v1": {"a": "ACTIVE"}}], [["bert", "3"]]
        self.refusal: tuple[int, str] | None = None
        self.asked: list[dict[str, Any]] = []
        self.held, self.gone = threading.Event(), False
        self.held.set()
        kylin = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._say(200, kylin.told(self.path.partition("?")[0].removeprefix("/kylin/api/")))

            def do_POST(self) -> None:
                kylin.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                kylin.held.wait(20)
                if kylin.refusal is not None:
                    self._say(kylin.refusal[0], {"msg": kylin.refusal[1], "stacktrace": "at org.apache"})
                else:
                    self._say(200, {"columnMetas": META, "results": kylin.rows, "isException": False})

            def _say(self, status: int, content: Any) -> None:
                body = json.dumps(content).encode()
                self.send_response(404 if content is None else status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def told(self, path: str) -> Any:
        node = {"receiver": {"host": "127.0.0.1", "port": self.port}}
        stats = {
            "consumer_stats": None if self.lag is None else {
                "total_exception_events": 2,
                "partition_consume_stats": {"0": {"consume_lag": self.lag + 1}, "1": {"consume_lag": 0}}},
            "long_latency_info": {"total_long_latency_events": 4},
        }  # fmt: skip
        answers = {
            "projects": [{"name": "other", "description": None},
                         {"name": "gradcube", "description": json.dumps({"gradcube": {"FACTS": 1}})}],
            "cubes": [{"name": "facts_v1", "segments": []}],
            "streaming_v2/cluster/state": {"rs_states": [{"receiver_states": [node]}]},
            "stats/cubes/facts_v1": stats,
        }  # fmt: skip
        if path == "gradcube/segments":
            return None if self.gone else self.places.pop(0) if len(self.places) > 1 else self.places[0]
        return None if self.gone else answers.get(path)


@pytest.fixture
def kylin() -> Iterator[Kylin]:
    kylin = Kylin()
    yield kylin
    kylin.held.set()
    kylin.server.shutdown()
    kylin.server.server_close()


@contextmanager
def asking(kylin: Kylin, behind: Behind = Behind(0, ANSWER)) -> Iterator[tuple[KylinAsking, KylinWatch]]:  # noqa: B008
    with KylinRest(f"http://127.0.0.1:{kylin.port}", "GATEWAY", "word", retry_seconds=0) as rest:
        watch = KylinWatch(rest, "GradCube")
        engine = KylinAsking(rest, watch, load_catalog(), "gradcube", behind, 2)
        watch.start()
        try:
            yield engine, watch
        finally:
            kylin.held.set()
            engine.close()
            watch.stop()


def answer(engine: KylinAsking, sql: str = SQL, seconds: float = 10.0) -> Answer:
    question = Question(sql, limits=Limits(rows=5, timeout_seconds=seconds))
    return engine.prepare(question, SeesAll(), "q").start().result(30)


def test_answer_has_types_sources_and_no_mark(kylin: Kylin) -> None:
    with asking(kylin) as (engine, _):
        found = answer(engine)
    assert found.rows == [["bert", "3"]]
    assert [(one.name, one.type.name, one.source) for one in found.columns] == [
        ("JOB", "VARCHAR", ("FACTS", "JOB")), ("EXPR$1", "BIGINT", None),
    ]  # fmt: skip
    assert (found.partial, found.relations) == (False, ("FACTS",))
    assert kylin.asked[0]["project"] == "gradcube"
    assert "FACTS_V1" in kylin.asked[0]["sql"]


def test_more_rows_than_may_be_given_make_it_partial(kylin: Kylin) -> None:
    kylin.rows = [["bert", str(number)] for number in range(6)]
    with asking(kylin) as (engine, _):
        found = answer(engine)
    assert (len(found.rows), found.partial) == (5, True)


def test_statement_is_asked_again_while_a_segment_moves(kylin: Kylin) -> None:
    active, closed = {"facts_v1": {"a": "ACTIVE"}}, {"facts_v1": {"a": "IMMUTABLE"}}
    kylin.places = [active, {"facts_v1": {}}, closed, closed]
    with asking(kylin) as (engine, _):
        answer(engine)
    assert len(kylin.asked) == 3  # while it was active, while it was in neither place, and when it stood still


def test_segments_that_never_stand_still_are_told_of(kylin: Kylin) -> None:
    kylin.places = [{"facts_v1": {str(number): "ACTIVE"}} for number in range(20)]
    with asking(kylin) as (engine, _), pytest.raises(EngineMissing, match="move without end"):
        answer(engine)
    assert len(kylin.asked) == 5


def test_answer_of_receivers_that_are_behind_is_partial(kylin: Kylin) -> None:
    kylin.lag = 7
    with asking(kylin, Behind(6, ANSWER)) as (engine, watch):
        found = answer(engine)
        assert (watch.seen.behind, watch.seen.late, watch.seen.refused) == ({"FACTS": 7}, {"FACTS": 4}, {"FACTS": 2})
    assert found.partial
    assert found.result.partial
    with asking(kylin, Behind(7, ANSWER)) as (engine, _):
        assert not answer(engine).partial


def test_refused_while_they_are_behind(kylin: Kylin) -> None:
    kylin.lag = 7
    with asking(kylin, Behind(0, REFUSE)) as (engine, _), pytest.raises(EngineMissing, match="FACTS: 7"):
        answer(engine)
    assert kylin.asked == []


def test_cube_that_nobody_reads_is_not_up_to_date(kylin: Kylin) -> None:
    """Kylin itself then says 0 rows, and no lag."""
    kylin.lag = None
    with asking(kylin, Behind(10**9, ANSWER)) as (engine, watch):
        assert answer(engine).partial
        assert watch.seen.behind == {"FACTS": None}
    with asking(kylin, Behind(10**9, REFUSE)) as (engine, _), pytest.raises(EngineMissing, match="FACTS: none is read"):
        answer(engine)


def test_waits_for_them(kylin: Kylin) -> None:
    kylin.lag = 7
    with asking(kylin, Behind(0, WAIT)) as (engine, _):
        with pytest.raises(TimedOut, match="FACTS: 7"):
            answer(engine, seconds=0.3)
        waiting = engine.prepare(Question(SQL), SeesAll(), "q").start()
        kylin.lag = 0
        assert waiting.result(20).rows == [["bert", "3"]]


def test_cancelled_query_ends_at_once(kylin: Kylin) -> None:
    kylin.held.clear()
    with asking(kylin) as (engine, _):
        running = engine.prepare(Question(SQL), SeesAll(), "q").start()
        wait_until(lambda: kylin.asked, 10, "Kylin is asked")
        progress = engine.progress("q")
        assert progress is not None
        assert progress.state == "running"
        assert engine.cancel("q")
        with pytest.raises(Cancelled):
            running.result(1)
        assert engine.progress("q") is None
        assert not engine.cancel("q")


def test_late_answer_is_a_timeout(kylin: Kylin) -> None:
    kylin.held.clear()
    with asking(kylin) as (engine, _), pytest.raises(TimedOut, match="seconds"):
        answer(engine, seconds=0.3)


@pytest.mark.parametrize(
    ("status", "words", "kind", "told"),
    [
        (500, "No realization found for OLAPContext, CUBE_UNMATCHED_AGGREGATION[...]", QueryError, "no such aggregate"),
        (500, "Column 'X' not found in any table\nwhile executing SQL", QueryError, "not found in any table$"),
        (500, "timeout when call stream rpc", QueryError, "receivers cannot answer this"),
        (500, "Access is denied", EngineMissing, "Access is denied"),
        (401, "Bad credentials", EngineMissing, "Bad credentials"),
    ],
)  # fmt: skip
def test_refusals_are_told_without_what_kylin_repeats(
    kylin: Kylin, status: int, words: str, kind: type[QueryError], told: str
) -> None:
    kylin.refusal = (status, words)
    with asking(kylin) as (engine, _), pytest.raises(kind, match=told) as caught:
        answer(engine)
    assert "org.apache" not in str(caught.value)
    assert type(caught.value) is kind


def test_nothing_is_asked_while_kylin_cannot_be_seen(kylin: Kylin) -> None:
    kylin.gone = True
    with asking(kylin) as (engine, watch):
        assert watch.reason is not None
        with pytest.raises(EngineMissing, match="Kylin does not answer"):
            answer(engine)
    assert kylin.asked == []


def test_it_is_seen_again_by_itself(kylin: Kylin) -> None:
    kylin.gone = True
    with asking(kylin) as (engine, watch):
        kylin.gone = False
        wait_until(lambda: watch.reason is None, 10, "the watch looks again")
        assert answer(engine).rows == [["bert", "3"]]


def test_answer_that_is_none_of_kylins_is_told_of(kylin: Kylin) -> None:
    kylin.rows = [["bert"]]
    with asking(kylin) as (engine, _), pytest.raises(QueryError, match="cannot be read"):
        answer(engine)
