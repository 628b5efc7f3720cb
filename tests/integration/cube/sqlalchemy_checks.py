"""What the dialect promises, checked on whatever SQLAlchemy this Python has: `python sqlalchemy_checks.py URL`.

Under pytest each function is a test; in an environment without pytest the names of those that held are printed.
"""

import datetime
import decimal
import math
import sys
import traceback
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy import orm

FIRST = datetime.datetime(2026, 11, 24, 4)
ODD_JOB = "it's 50% größer; -- 😀 ? :x"
Base: Any = orm.declarative_base()


class FactRow(Base):
    """The cube's table for the ORM, in the lower case that Python's names have."""

    __tablename__ = "facts"
    fact_id = sa.Column(sa.String, primary_key=True)
    ts = sa.Column(sa.DateTime)
    day_start = sa.Column(sa.Date)
    job = sa.Column(sa.String)
    metric = sa.Column(sa.String)
    samples = sa.Column(sa.BigInteger)
    metric_value = sa.Column(sa.Float)


FACTS = FactRow.__table__


def ask(engine: Any, statement: Any, parameters: Any = None) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(statement, parameters or {})]


def check_text_without_parameters(engine: Any) -> None:
    assert ask(engine, sa.text("select count(*) from FACTS where JOB like 'be%'")) == [(100,)]


def check_text_with_named_parameters(engine: Any) -> None:
    sql = sa.text("select count(*) from FACTS where JOB = :job and METRIC_VALUE < :most and METRIC like 'l%'")
    assert ask(engine, sql, {"job": "bert", "most": 10}) == [(10,)]


def check_driver_sql_keeps_its_percent_signs(engine: Any) -> None:
    with engine.connect() as connection:
        assert connection.exec_driver_sql("select count(*) from facts where job like '%50\\% %'").scalar() == 0
        assert connection.exec_driver_sql("select count(*) from facts where job like '%50%'").scalar() == 1
        odd = connection.exec_driver_sql("select '100% ?' from facts where job = ? limit 1", (ODD_JOB,))
        assert odd.scalar() == "100% ?"


def check_group_having_order_limit_offset_and_labels(engine: Any) -> None:
    value = sa.func.sum(FACTS.c.metric_value).label("value")
    statement = (
        sa.select(FACTS.c.ts, value)
        .where(FACTS.c.job == "bert")
        .group_by(FACTS.c.ts)
        .having(sa.func.count() == 1)
        .order_by(sa.desc("value"))
        .limit(2)
        .offset(1)
    )
    with engine.connect() as connection:
        rows = connection.execute(statement).all()
    assert [row.value for row in rows] == [98.0, 97.0]
    assert rows[0].ts == FIRST + datetime.timedelta(seconds=980)


def check_offset_without_limit(engine: Any) -> None:
    statement = sa.select(FACTS.c.metric_value).where(FACTS.c.job == "bert").order_by(FACTS.c.ts).offset(98)
    assert ask(engine, statement) == [(98.0,), (99.0,)]


def check_join_of_aliases_and_subqueries(engine: Any) -> None:
    first, second = FACTS.alias("one"), FACTS.alias("two")
    joined = first.join(second, sa.and_(first.c.ts == second.c.ts, first.c.metric == second.c.metric))
    matching = sa.select(sa.func.count()).select_from(joined).where(first.c.job == "bert", second.c.job == "bert")
    assert ask(engine, matching) == [(100,)]
    inner = sa.select(FACTS.c.job, sa.func.max(FACTS.c.metric_value).label("most")).group_by(FACTS.c.job).subquery()
    assert ask(engine, sa.select(inner.c.most).where(inner.c.job == "bert")) == [(99.0,)]


def check_cte_and_union(engine: Any) -> None:
    slow = sa.select(FACTS.c.metric_value.label("v")).where(FACTS.c.metric_value >= 98).cte("slow")
    assert ask(engine, sa.select(sa.func.count(), sa.func.min(slow.c.v))) == [(3, 98.0)]
    jobs = sa.select(FACTS.c.job).where(FACTS.c.job == "bert")
    assert ask(engine, jobs.union(sa.select(FACTS.c.job))) in ([("bert",), (ODD_JOB,)], [(ODD_JOB,), ("bert",)])


def check_functions_case_cast_and_extract(engine: Any) -> None:
    kind = sa.case((FACTS.c.metric_value > 49, "high"), else_="low")
    hour = sa.extract("hour", FACTS.c.ts)
    counted = (sa.func.count(sa.distinct(FACTS.c.ts)), sa.func.avg(FACTS.c.metric_value), hour)
    cast = (sa.cast(sa.func.min(FACTS.c.ts), sa.Date), sa.func.upper(FACTS.c.job), sa.cast(FACTS.c.samples, sa.String))
    grouped = sa.select(kind, *counted, *cast).where(FACTS.c.job == "bert")
    statement = grouped.group_by(kind, hour, FACTS.c.job, FACTS.c.samples).order_by(kind)
    assert ask(engine, statement) == [
        ("high", 50, 74.5, 4, FIRST.date(), "BERT", "5"), ("low", 50, 24.5, 4, FIRST.date(), "BERT", "5"),
    ]  # fmt: skip


def check_in_between_null_and_like(engine: Any) -> None:
    of = FACTS.c
    counted = sa.select(sa.func.count()).select_from(FACTS)
    assert ask(engine, counted.where(of.metric_value.in_([1, 2.0, 3]), of.job.in_(["bert"]))) == [(3,)]
    assert ask(engine, counted.where(of.job.in_([]))) == [(0,)]
    assert ask(engine, counted.where(of.metric_value.between(5, 6), of.job.is_not(None))) == [(2,)]
    assert ask(engine, counted.where(of.job == None)) == [(0,)]  # noqa: E711 - SQLAlchemy's IS NULL
    assert ask(engine, counted.where(of.job.startswith("it's 50%", autoescape=True))) == [(1,)]
    assert ask(engine, counted.where(sa.or_(of.job.contains("größer"), sa.not_(of.metric == "loss")))) == [(1,)]


def check_every_type_of_parameter_comes_back(engine: Any) -> None:
    moment = datetime.datetime(2026, 11, 24, 4, 0, 0, 250_000)
    zone = datetime.timezone(datetime.timedelta(hours=2))
    given = {
        "text": ODD_JOB, "quote": "''", "whole": 2**53 + 1, "negative": -5, "real": 0.1, "small": 5e-324, "yes": True,
        "exact": decimal.Decimal("12.50"), "day": moment.date(), "moment": moment,
        "zoned": datetime.datetime(2026, 11, 24, 6, tzinfo=zone),
    }  # fmt: skip
    sql = "select " + ", ".join(f":{name} as P_{name}" for name in given) + " from FACTS limit 1"
    [row] = ask(engine, sa.text(sql), given)
    assert row == (*list(given.values())[:-1], FIRST)


def check_numpy_s_values_and_none(engine: Any) -> None:
    frame = pd.DataFrame({"n": [3], "x": [0.5]})
    sql = sa.text("select cast(:n as bigint), cast(:x as double), cast(:nothing as varchar) from FACTS limit 1")
    [row] = ask(engine, sql, {"n": frame["n"][0], "x": frame["x"][0], "nothing": None})
    assert row == (3, 0.5, None)


def check_what_has_no_literal_is_refused(engine: Any) -> None:
    for value in (math.nan, math.inf, b"bytes", object(), "\ud800", "zero\0", 2**63, datetime.time(4)):
        try:
            ask(engine, sa.text("select count(*) from FACTS where METRIC = :value"), {"value": value})
        except sa.exc.ProgrammingError:
            continue
        raise AssertionError(f"{value!r} was sent")


def check_orm_select_filter_and_aggregate(engine: Any) -> None:
    with orm.Session(engine) as session:
        query = sa.select(FactRow).where(FactRow.job == "bert").order_by(FactRow.ts)
        row = session.scalars(query.limit(1)).one()
        assert (row.ts, row.day_start, row.samples, row.metric_value) == (FIRST, FIRST.date(), 5, 0.0)
        assert session.get(FactRow, row.fact_id) is row
        assert session.scalar(sa.select(sa.func.max(FactRow.metric_value)).filter_by(metric="loss")) == 1e12


def check_inspection(engine: Any) -> None:
    inspector = sa.inspect(engine)
    assert inspector.get_schema_names() == ["DEFAULT"]
    assert inspector.default_schema_name == "DEFAULT"
    assert "FACTS" in inspector.get_table_names()
    assert inspector.get_table_names("DEFAULT") == inspector.get_table_names()
    assert "FACTS" not in inspector.get_view_names()
    assert inspector.has_table("FACTS")
    assert inspector.has_table("facts", schema="DEFAULT")
    assert not inspector.has_table("NOPE")
    columns = {column["name"]: column["type"] for column in inspector.get_columns("FACTS")}
    found = (columns["TS"], columns["DAY_START"], columns["SAMPLES"], columns["METRIC_VALUE"], columns["JOB"])
    kinds = (sa.TIMESTAMP, sa.DATE, sa.BIGINT, sa.Float, sa.VARCHAR)
    assert [isinstance(one, kind) for one, kind in zip(found, kinds, strict=True)] == [True] * 5, found
    assert columns["JOB"].length == 256
    assert (inspector.get_pk_constraint("FACTS")["constrained_columns"], inspector.get_foreign_keys("FACTS")) == (
        [],
        [],
    )
    try:
        inspector.get_columns("NOPE")
    except sa.exc.NoSuchTableError:
        return
    raise AssertionError("NOPE has columns")


def check_autoload_with_and_without_schema(engine: Any) -> None:
    for schema in (None, "DEFAULT"):
        table = sa.Table("FACTS", sa.MetaData(), autoload_with=engine, schema=schema)
        statement = sa.select(table.c.METRIC, sa.func.sum(table.c.SAMPLES)).group_by(table.c.METRIC)
        assert ask(engine, statement) == [("loss", 505)]
    lower = sa.Table("facts", sa.MetaData(), autoload_with=engine)
    assert ask(engine, sa.select(sa.func.count()).select_from(lower)) == [(101,)]


def check_pandas_reads_statements_and_tables(engine: Any) -> None:
    with engine.connect() as connection:
        frame = pd.read_sql("select TS, METRIC_VALUE from FACTS where JOB like 'be%' order by TS", connection)
        assert (len(frame), frame["METRIC_VALUE"].sum(), frame["TS"][0]) == (100, 4950.0, pd.Timestamp(FIRST))
        named = sa.text("select METRIC_VALUE from FACTS where JOB = :job")
        assert len(pd.read_sql(named, connection, params={"job": ODD_JOB})) == 1
        whole = pd.read_sql_table("FACTS", connection, schema="DEFAULT", columns=["JOB", "TS"])
        assert sorted(set(whole["JOB"])) == sorted(["bert", ODD_JOB])


def check_errors_are_the_db_api_s(engine: Any) -> None:
    expected = {
        "select NOPE from FACTS": "NOPE",
        "select * from nowhere": "Object",
        "drop table FACTS": "Not Supported",
    }
    for sql, words in expected.items():
        try:
            ask(engine, sa.text(sql))
        except sa.exc.ProgrammingError as error:
            raised = error.orig
        else:
            raise AssertionError(f"{sql} was answered")
        assert words.lower() in str(raised).lower()
        assert isinstance(raised, engine.dialect.dbapi.DatabaseError)
    assert ask(engine, sa.text("select count(*) from FACTS")) == [(101,)]


def check_server_side_names_keep_their_case_when_quoted(engine: Any) -> None:
    statement = sa.select(FACTS.c.job.label("Mixed Case"), FACTS.c.job.label("rank")).limit(1)
    with engine.connect() as connection:
        assert list(connection.execute(statement).keys()) == ["Mixed Case", "rank"]
        assert connection.execute(sa.text("select 1 as single")).keys() == ["SINGLE"]


CHECKS = {name: check for name, check in list(globals().items()) if name.startswith("check_")}


def main(url: str, password_file: str) -> None:
    engine = sa.create_engine(url, connect_args={"password_file": password_file})
    print("sqlalchemy", sa.__version__)
    for name, check in CHECKS.items():
        try:
            check(engine)
        except Exception:  # noqa: BLE001 - whatever it is, the other checks are made too
            print(name, "failed")
            traceback.print_exc()
        else:
            print(name, "held")


if __name__ == "__main__":
    main(*sys.argv[1:])
