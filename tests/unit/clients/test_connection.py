import datetime
import decimal
import math
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow as pa
import pytest
from tests.unit.clients.tiny_gateway import Answer, TinyGateway, arrow, kylin, refusal

import gradcube
from gradcube.clients import dbapi
from gradcube.clients.connection import ARROW_PATH
from gradcube.errors import ConfigError, QueryError

MOMENT = datetime.datetime(2026, 11, 24, 4)
COLUMNS = {
    "JOB": "VARCHAR",
    "N": "BIGINT",
    "X": "DOUBLE",
    "T": "TIMESTAMP",
    "D": "DATE",
    "OK": "BOOLEAN",
    "C": "DECIMAL",
}
CELLS = ["bert", "5", "9.99E7", "2026-11-24 04:00:00", "2026-11-24", "true", "1.50"]
VALUES = ("bert", 5, 9.99e7, MOMENT, MOMENT.date(), True, decimal.Decimal("1.50"))


def table() -> pa.Table:
    kinds = [pa.string(), pa.int64(), pa.float64(), pa.timestamp("us"), pa.date32(), pa.bool_(), pa.decimal128(5, 2)]
    arrays = [pa.array([value, None], kind) for value, kind in zip(VALUES, kinds, strict=True)]
    return pa.Table.from_arrays(arrays, names=list(COLUMNS))


def serve_kylin(tiny: TinyGateway, columns: dict[str, str], rows: list[list[Any]], **more: Any) -> None:
    tiny.answers["/kylin/api/query"] = lambda _: kylin(columns, rows, **more)


def test_arrow_and_kylin_s_json_give_the_same_rows_and_types(tiny: TinyGateway) -> None:
    serve_kylin(tiny, COLUMNS, [CELLS, [None] * len(CELLS)])
    with gradcube.connect(tiny.url) as connection:
        plain = connection.query("select 1")
    tiny.answers[ARROW_PATH] = lambda _: arrow(table())
    with gradcube.connect(tiny.url) as connection:
        fast = connection.query("select 1")
    for result in (plain, fast):
        assert result.columns == tuple(COLUMNS)
        assert result.types == tuple(COLUMNS.values())
        assert result.rows == [VALUES, (None,) * 7]
        assert result.arrow().column("N").to_pylist() == [5, None]
        assert result.dataframe()["X"][0] == 9.99e7
        assert (len(result), list(result), result.partial) == (2, result.rows, False)


def test_plain_kylin_is_asked_for_arrow_once(tiny: TinyGateway) -> None:
    serve_kylin(tiny, {"N": "BIGINT"}, [["1"]])
    with gradcube.connect(tiny.url) as connection:
        for _ in range(2):
            assert connection.query("select ?", ["it's"], limit=10, offset=3).rows == [(1,)]
    paths = [path for path, _ in tiny.asked]
    assert paths == [ARROW_PATH, "/kylin/api/query", "/kylin/api/query"]
    body = {"sql": "select 'it''s'", "project": "gradcube", "limit": 11, "offset": 3, "acceptPartial": False}
    assert tiny.asked[-1][1] == body
    assert tiny.asked[0][1]["sql"] == "select 'it''s'"


@pytest.mark.parametrize(("rows", "given", "partial"), [(2, 2, False), (3, 2, True)])
def test_cut_answer_says_that_it_is_cut(tiny: TinyGateway, rows: int, given: int, partial: bool) -> None:
    serve_kylin(tiny, {"N": "BIGINT"}, [["1"]] * rows)
    with gradcube.connect(tiny.url) as connection:
        result = connection.query("select 1", limit=2)
    assert (len(result), result.partial) == (given, partial)
    tiny.answers[ARROW_PATH] = lambda _: arrow(pa.table({"N": [1] * rows}))
    with gradcube.connect(tiny.url) as connection:
        result = connection.query("select 1", limit=2)
    assert (len(result), result.partial) == (given, partial)


def test_sum_of_integers_is_an_integer(tiny: TinyGateway) -> None:
    sums = pa.table({"S": pa.array([decimal.Decimal(7)], pa.decimal128(38, 0))})
    tiny.answers[ARROW_PATH] = lambda _: arrow(sums)
    with gradcube.connect(tiny.url) as connection:
        result = connection.query("select 1")
    assert (result.types, result.rows) == (("BIGINT",), [(7,)])


def test_special_doubles_columns_of_one_name_and_no_rows(tiny: TinyGateway) -> None:
    serve_kylin(tiny, {"A": "DOUBLE", "B": "DOUBLE"}, [["NaN", "-Infinity"]])
    with gradcube.connect(tiny.url) as connection:
        [(nan, infinite)] = connection.query("select 1").rows
        assert math.isnan(nan)
        assert infinite == -math.inf
        serve_kylin(tiny, {"A": "VARCHAR", "B": "TIMESTAMP"}, [])
        empty = connection.query("select 1")
        assert (empty.rows, empty.arrow().num_rows, empty.dataframe().shape) == ([], 0, (0, 2))
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["N", "N"])
    tiny.answers[ARROW_PATH] = lambda _: arrow(twice)
    with gradcube.connect(tiny.url) as connection:
        result = connection.query("select 1")
    assert result.rows == [(1, 2)]
    assert list(result.dataframe().columns) == ["N", "N"]


@pytest.mark.parametrize("cut", [1, 8, 40])
def test_arrow_stream_that_broke_off_is_an_error(tiny: TinyGateway, cut: int) -> None:
    status, kind, body = arrow(table())
    tiny.answers[ARROW_PATH] = lambda _: (status, kind, body[:-cut])
    with gradcube.connect(tiny.url) as connection, pytest.raises(QueryError, match="broke off"):
        connection.query("select 1")


@pytest.mark.parametrize(
    ("answer", "words"),
    [(refusal(500, "Column 'X' not found"), "Column 'X' not found"), (refusal(500, None), "500"),
     (refusal(503, "Too many"), "Too many"), ((401, "text/html", b"<html>"), "Wrong user name or password"),
     ((502, "text/html", b"<html>"), "502"), ((200, "text/html", b"<html>"), "not JSON"),
     ((200, "application/json", b"[]"), "not Kylin's"), (kylin({"N": "BIGINT"}, [["x"]]), "not Kylin's"),
     (kylin({"N": "BIGINT"}, [["1", "2"]]), "not Kylin's"),
     (kylin({}, [], isException=True, exceptionMessage="stale"), "stale")],
)  # fmt: skip
def test_what_the_server_says_is_the_error(tiny: TinyGateway, answer: Any, words: str) -> None:
    tiny.answers["/kylin/api/query"] = lambda _: answer
    with gradcube.connect(tiny.url) as connection, pytest.raises(QueryError, match=words):
        connection.query("select 1")


def test_position_and_hint_of_an_error_are_kept(tiny: TinyGateway) -> None:
    tiny.answers[ARROW_PATH] = lambda _: refusal(500, "Object 'X' not found.", position=15, hint="The table is FACTS.")
    with gradcube.connect(tiny.url) as connection, pytest.raises(QueryError) as caught:
        connection.query("select * from X")
    assert (caught.value.position, caught.value.hint) == (15, "The table is FACTS.")


def test_nobody_there_is_said_with_the_address_and_without_the_password() -> None:
    connection = gradcube.connect("http://ADMIN:canary@127.0.0.1:1/gradcube")
    with connection, pytest.raises(QueryError, match=r"http://127\.0\.0\.1:1 did not answer") as caught:
        connection.query("select 1")
    assert "canary" not in str(caught.value)


def test_tables_come_with_their_columns_in_order(tiny: TinyGateway) -> None:
    with gradcube.connect(tiny.url) as connection:
        facts, view = connection.tables()
    assert (facts.schema, facts.name, facts.kind, view.kind) == ("DEFAULT", "FACTS", "TABLE", "VIEW")
    assert [(one.name, one.type, one.precision, one.scale) for one in facts.columns] == [
        ("JOB", "VARCHAR", 256, None), ("TS", "TIMESTAMP", 0, None), ("METRIC_VALUE", "DOUBLE", None, None),
        ("COST", "DECIMAL", 19, 4),
    ]  # fmt: skip


def test_limits_certificates_and_progress_are_checked(tiny: TinyGateway, tmp_path: Path) -> None:
    with gradcube.connect(tiny.url) as connection:
        for wrong in ({"limit": 0}, {"offset": -1}):
            with pytest.raises(QueryError, match="at least one row"):
                connection.query("select 1", **wrong)  # type: ignore[arg-type]
        serve_kylin(tiny, {"N": "BIGINT"}, [["1"]])
        assert connection.query("select 1", progress=True).rows == [(1,)]
    with pytest.raises(ConfigError, match="certificates"):
        gradcube.connect("https://host/p", verify=str(tmp_path / "absent.pem"))


def test_silence_ends_at_the_timeout(tiny: TinyGateway) -> None:
    released = Event()

    def silent(_: object) -> Answer:
        released.wait(30)
        return kylin({}, [])

    tiny.answers[ARROW_PATH] = silent
    connection = gradcube.connect(tiny.url, timeout_seconds=0.05)
    with connection, pytest.raises(QueryError, match=r"did not answer within 0\.05 s"):
        connection.query("select 1")
    released.set()


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A certificate of 127.0.0.1 that nobody but its holder trusts, with its key in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    file = tmp_path / "both.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    options = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([openssl, *options, "-keyout", file, "-out", tmp_path / "ca.pem"], check=True, capture_output=True)
    file.write_text(file.read_text() + (tmp_path / "ca.pem").read_text())
    return file


def test_tls_is_verified_unless_told_otherwise(authority: Path) -> None:
    with closing(TinyGateway(authority)) as tiny:
        serve_kylin(tiny, {"N": "BIGINT"}, [["1"]])
        with gradcube.connect(tiny.url) as connection, pytest.raises(QueryError, match="CERTIFICATE_VERIFY_FAILED"):
            connection.query("select 1")
        for verify in (str(authority.with_name("ca.pem")), False):
            with gradcube.connect(tiny.url, verify=verify) as connection:
                assert connection.query("select 1").rows == [(1,)]
        url = f"{tiny.url.replace('https', 'kylin+compat')}?ssl=true&verify={authority.with_name('ca.pem')}"
        with closing(dbapi.connect(url)) as plain:
            assert plain.cursor().execute("select 1").fetchall() == [(1,)]


def test_notebook_s_table_escapes_what_it_shows(tiny: TinyGateway) -> None:
    serve_kylin(tiny, {"<b>": "VARCHAR"}, [["<script>"]] * 30)
    with gradcube.connect(tiny.url) as connection:
        shown = connection.query("select 1")._repr_html_()
    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown
    assert "30 rows" in shown


def test_db_api_says_what_pep_249_asks(tiny: TinyGateway) -> None:
    serve_kylin(tiny, COLUMNS, [CELLS] * 3)
    connection = dbapi.connect(tiny.url)
    cursor = connection.cursor().execute("select ?", (1,))
    assert cursor.description is not None
    assert [column[0] for column in cursor.description] == list(COLUMNS)
    assert cursor.description[1][1] == dbapi.NUMBER
    assert cursor.description[1][1] != dbapi.STRING
    assert (cursor.fetchone(), cursor.rowcount) == (VALUES, 3)
    assert (cursor.fetchmany(5), cursor.fetchone(), cursor.fetchall()) == ([VALUES] * 2, None, [])
    with pytest.raises(dbapi.NotSupportedError):
        cursor.executemany("insert", [[1]])
    cursor.close()
    with pytest.raises(dbapi.InterfaceError):
        cursor.fetchone()
    with pytest.raises(dbapi.ProgrammingError):
        connection.cursor().execute("select ?", (b"x",))
    connection.close()
    with pytest.raises(dbapi.InterfaceError):
        connection.cursor().execute("select 1")
    with pytest.raises(dbapi.InterfaceError, match="not the address"):
        dbapi.connect("mysql://host/db")


def test_importing_gradcube_loads_neither_httpx_nor_pyarrow_nor_rich() -> None:
    script = (
        "import sys, gradcube; print({'httpx', 'pyarrow', 'rich', 'pandas', 'sqlalchemy', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_asking_loads_no_pandas_and_no_kafka(tiny: TinyGateway) -> None:
    script = (
        "import sys, gradcube; c = gradcube.connect('http://h/p'); c.close();"
        "print({'pyarrow', 'pandas', 'sqlalchemy', 'kafka', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
