"""Run by Superset's own Python: the SQL that Superset writes for the cube, asked through it, into found.json.

`python superset_checks.py URL PASSWORD_FILE`, in a folder that may be written to. The tests import nothing of it.
"""

import datetime
import json
import os
import sys
from pathlib import Path
from typing import Any

CONFIG = """
SECRET_KEY = "only for this run of the tests, behind no server"
SQLALCHEMY_DATABASE_URI = "sqlite:///superset.db"
CACHE_CONFIG = DATA_CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}
FILTER_STATE_CACHE_CONFIG = EXPLORE_FORM_DATA_CACHE_CONFIG = CACHE_CONFIG
"""
GRAINS = {"SECOND": "PT1S", "MINUTE": "PT1M", "HOUR": "PT1H", "DAY": "P1D", "WEEK": "P1W", "MONTH": "P1M",
          "QUARTER": "P3M", "YEAR": "P1Y"}  # fmt: skip
SINCE, UNTIL = datetime.datetime(2026, 11, 24, 4), datetime.datetime(2026, 11, 24, 4, 16, 40)


def start() -> Any:
    path = Path("superset_config.py").absolute()
    path.write_text(CONFIG)
    os.environ["SUPERSET_CONFIG_PATH"] = str(path)
    from superset.app import create_app

    return create_app()


def dataset(url: str, password_file: str) -> Any:
    """The table as a person adds it: its columns are what Superset finds by reflection."""
    from superset.connectors.sqla.models import SqlaTable, SqlMetric, TableColumn
    from superset.models.core import Database

    extra = json.dumps({"engine_params": {"connect_args": {"password_file": password_file}}})
    database = Database(database_name="cube", sqlalchemy_uri=url, extra=extra)
    table = SqlaTable(table_name="FACTS", schema="DEFAULT", database=database)
    table.columns = [
        TableColumn(column_name=one["column_name"], type=str(one["type"]), is_dttm=bool(one["is_dttm"]))
        for one in table.external_metadata()
    ]
    table.metrics = [
        SqlMetric(metric_name="count", expression="COUNT(*)"),
        SqlMetric(metric_name="most", expression="MAX(METRIC_VALUE)"),
    ]
    return table


def ask(table: Any, **changes: Any) -> dict[str, Any]:
    question = {
        "columns": [], "metrics": ["count"], "granularity": "TS", "is_timeseries": False, "filter": [], "orderby": [],
        "extras": {}, "from_dttm": SINCE, "to_dttm": UNTIL, "row_limit": 1000,
    }  # fmt: skip
    result = table.query(question | changes)
    rows = json.loads(result.df.to_json(orient="split", date_format="iso"))
    return {"sql": result.query, "columns": rows["columns"], "rows": rows["data"], "error": result.error_message}


def spec(table: Any) -> dict[str, Any]:
    chosen = table.database.db_engine_spec
    return {
        "engine": chosen.engine,
        "name": chosen.__name__,
        "timestamp": chosen.convert_dttm("TIMESTAMP", SINCE),
        "date": chosen.convert_dttm("DATE", SINCE),
        "grains": sorted(str(grain.duration) for grain in table.database.grains() if grain.duration),
    }


def introspection(table: Any) -> dict[str, Any]:
    database = table.database
    with database.get_sqla_engine() as engine, engine.connect() as connection:
        alive = engine.dialect.do_ping(connection.connection)
        one = connection.exec_driver_sql("SELECT 1").scalar()
    return {
        "schemas": sorted(database.get_all_schema_names()),
        "tables": sorted(found[0] for found in database.get_all_table_names_in_schema(None, "DEFAULT")),
        "columns": {column.column_name: column.type for column in table.columns},
        "times": sorted(column.column_name for column in table.columns if column.is_dttm),
        "ping": [alive, one],
        "sql_lab": database.get_df("SELECT JOB, COUNT(*) AS N FROM FACTS GROUP BY JOB ORDER BY N").values.tolist(),
    }


def questions(table: Any) -> dict[str, Any]:
    answers = {
        f"grain {name}": ask(table, is_timeseries=True, extras={"time_grain_sqla": grain})
        for name, grain in GRAINS.items()
    }
    answers["filters"] = ask(
        table,
        columns=["JOB"],
        metrics=["count", "most"],
        orderby=[["most", False]],
        filter=[
            {"col": "JOB", "op": "IN", "val": ["bert", "it's 50% größer; -- 😀 ? :x"]},
            {"col": "METRIC_VALUE", "op": ">=", "val": 10},
            {"col": "METRIC", "op": "LIKE", "val": "lo%"},
            {"col": "JOB", "op": "IS NOT NULL"},
        ],
    )
    answers["raw rows"] = ask(
        table, metrics=[], columns=["TS", "DAY_START", "METRIC_VALUE"], orderby=[["TS", True]], row_limit=3
    )
    answers["top series"] = ask(
        table, columns=["JOB"], is_timeseries=True, series_limit=1, extras={"time_grain_sqla": "PT1H"}
    )
    adhoc = {"expressionType": "SIMPLE", "column": {"column_name": "METRIC_VALUE"}, "aggregate": "AVG", "label": "mean"}
    answers["ad hoc"] = ask(table, metrics=[adhoc], extras={"having": "COUNT(*) > 1", "where": "JOB = 'bert'"})
    return answers


def main(url: str, password_file: str) -> None:
    with start().app_context():
        table = dataset(url, password_file)
        found = {"spec": spec(table), "introspection": introspection(table), "questions": questions(table)}
    Path("found.json").write_text(json.dumps(found, default=str))


if __name__ == "__main__":
    main(*sys.argv[1:])
