"""The shipped views: what they answer over a few rows, and that they read rollups where there are any."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import duckdb
import pytest

from gradcube.cube.model import Catalog, DeclaredView
from gradcube.cube.store.relations import layout_of
from gradcube.cube.translate import translate
from gradcube.errors import QueryError

FACT = {
    "TS": datetime(2026, 11, 24, 4), "HOUR_START": datetime(2026, 11, 24, 4), "DAY_START": "2026-11-24",
    "JOB": "bert", "ATTEMPT": 0, "MODEL": "tiny", "MODEL_PARAMETERS": 1000, "HARDWARE": "h100", "DATASET": "d",
    "SUBJECT_KIND": "job", "SUBJECT": "bert", "NODE": "", "STAGE": 0, "WINDOW_SECONDS": 10, "FAMILY": "f",
}  # fmt: skip


@pytest.fixture
def connection(catalog: Catalog) -> Iterator[Any]:
    with duckdb.connect() as connection:
        for cube in catalog.cubes.values():
            for relation in layout_of(cube).relations:
                columns = ", ".join(f'"{name}" {kind}' for name, kind in relation.columns)
                connection.execute(f'CREATE TABLE "{relation.name}" ({columns})')
        yield connection


def add_fact(connection: Any, catalog: Catalog, metric: str, total: float, samples: int, **changes: Any) -> None:
    """One fact, in the raw rows and in every rollup."""
    row = {**FACT, "METRIC": metric, **changes}
    measures = {"METRIC_VALUE": total / samples, "METRIC_SUM": total, "METRIC_MIN": 0.0, "METRIC_MAX": total}
    for relation in layout_of(catalog.cubes["FACTS"]).relations:
        values: dict[str, Any] = {**row, **measures, "SAMPLES": samples, "ROWS_COUNT": 1}
        values |= {f"{name}__{what}": value for name, value in {**measures, "SAMPLES": samples}.items()
                   for what in ("SUM", "MIN", "MAX")}  # fmt: skip
        names = [name for name, _ in relation.columns if name in values]
        marks = ", ".join("?" for _ in names)
        connection.execute(
            f'INSERT INTO "{relation.name}" ({", ".join(names)}) VALUES ({marks})', [values[name] for name in names]
        )


def ask(connection: Any, catalog: Catalog, sql: str) -> list[Any]:
    return list(connection.execute(translate(sql, catalog, limit=100).sql).fetchall())


def test_every_view_is_answered_from_rollups_and_small_cubes(connection: Any, catalog: Catalog) -> None:
    for name in catalog.views:
        statement = translate(f"select * from {name}", catalog, limit=10)
        assert "FACTS" not in statement.relations, name
        assert connection.execute(statement.sql).fetchall() == []


def test_recall_stands_beside_accuracy(connection: Any, catalog: Catalog) -> None:
    add_fact(connection, catalog, "evaluation_accuracy", 80.0, 100)
    add_fact(connection, catalog, "evaluation_accuracy", 90.0, 100, JOB="other")
    add_fact(connection, catalog, "evaluation_recall", 60.0, 100)
    add_fact(connection, catalog, "evaluation_accuracy", 5.0, 10, HARDWARE="cpu")
    sql = "select hardware, accuracy, recall, evaluated from accuracy_by_hardware order by hardware"
    assert ask(connection, catalog, sql) == [("cpu", 0.5, None, 10), ("h100", 0.85, 0.6, 200)]


def test_cost_of_stragglers_is_in_gpu_hours(connection: Any, catalog: Catalog) -> None:
    for rank in ("0", "1"):
        add_fact(connection, catalog, "step_seconds", 7200.0, 100, SUBJECT_KIND="rank", SUBJECT=rank, NODE="n")
    add_fact(connection, catalog, "slow_down_ratio", 125.0, 100)
    sql = "select job, gpu_hours, slow_down_ratio, lost_gpu_hours from straggler_cost"
    [[job, hours, ratio, lost]] = ask(connection, catalog, sql)
    assert (job, hours, ratio) == ("bert", 4.0, 1.25)
    assert lost == pytest.approx(0.8)


def test_slowest_rank_computes_longest(connection: Any, catalog: Catalog) -> None:
    for rank, seconds in (("0", 10.0), ("1", 18.0)):
        rank_of = {"SUBJECT_KIND": "rank", "SUBJECT": rank, "NODE": f"n{rank}"}
        add_fact(connection, catalog, "compute_seconds", seconds, 10, **rank_of)
        add_fact(connection, catalog, "sync_wait_seconds", 20 - seconds, 10, **rank_of)
    sql = "select worker, node, compute_seconds, sync_wait_seconds, steps from slowest_ranks order by 3 desc"
    assert ask(connection, catalog, sql)[0] == ("1", "n1", 1.8, 0.2, 10)


def test_lemon_is_a_node_of_more_than_one_job(connection: Any, catalog: Catalog) -> None:
    for number, (job, node) in enumerate([("a", "lemon"), ("b", "lemon"), ("a", "fine"), ("a", "fine")]):
        connection.execute(
            "INSERT INTO FINDINGS (FINDING_ID, JOB, NODE, KIND, MAGNITUDE, CONFIDENCE) VALUES (?, ?, ?, ?, ?, ?)",
            [str(number), job, node, "STRAGGLER", 1.5 + number, 0.5],
        )
    assert ask(connection, catalog, "select * from lemon_nodes") == [("lemon", 2, 2, 0.5, 2.5)]


def test_views_join_cubes_and_each_other(connection: Any, catalog: Catalog) -> None:
    sql = """select s.worker, j.status, c.gpu_hours from slowest_ranks s join jobs j on s.job = j.job
             left join straggler_cost c on c.job = s.job where j.attempt = s.attempt"""
    statement = translate(sql, catalog, limit=10)
    assert statement.relations == ("FACTS__JOB_HOUR", "FACTS__SUBJECT_DAY", "JOBS")
    assert statement.sources == {"STATUS": ("JOBS", "STATUS")}
    assert connection.execute(statement.sql).fetchall() == []


def test_view_that_names_itself_is_refused(catalog: Catalog) -> None:
    views = {"V": DeclaredView("V", "", "select * from W"), "W": DeclaredView("W", "", "select * from V")}
    with pytest.raises(QueryError, match="names itself"):
        translate("select * from v", Catalog(catalog.cubes, views), limit=1)


def test_sources_tell_the_cube_and_column_behind_each_output(catalog: Catalog) -> None:
    sql = (
        "select f.job j, m.status, f.metric || 'x', count(*) from facts f join jobs m on f.job = m.job group by 1, 2, 3"
    )
    assert translate(sql, catalog, limit=1).sources == {"J": ("FACTS", "JOB"), "STATUS": ("JOBS", "STATUS")}
    assert translate("select * from jobs", catalog, limit=1).sources["STARTED"] == ("JOBS", "STARTED")
    assert translate("select x.* from jobs x, facts y", catalog, limit=1).sources["STARTED"] == ("JOBS", "STARTED")
    assert translate("select * from jobs x, facts y", catalog, limit=1).sources == {}
