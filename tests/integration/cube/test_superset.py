"""Superset 6.1 with its own engine spec of Kylin over our dialect: superset_checks.py asks, each test reads a part."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cube.foreign_clients import run_in_superset
from tests.integration.cube.gateway_process import GatewayProcess
from tests.integration.cube.sqlalchemy_checks import ODD_JOB


@pytest.fixture(scope="module")
def found(served: GatewayProcess, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What superset_checks.py found."""
    directory = tmp_path_factory.mktemp("superset")
    url = f"kylin+compat://ADMIN@127.0.0.1:{served.port}/gradcube"
    script = Path(__file__).with_name("superset_checks.py")
    run_in_superset(script, [url, str(served.directory / "password")], directory)
    return dict(json.loads((directory / "found.json").read_text()))


def test_superset_takes_its_own_spec_of_kylin(found: dict[str, Any]) -> None:
    assert (found["spec"]["engine"], found["spec"]["name"]) == ("kylin", "KylinEngineSpec")
    assert found["spec"]["timestamp"] == "CAST('2026-11-24 04:00:00' AS TIMESTAMP)"
    assert found["spec"]["date"] == "CAST('2026-11-24' AS DATE)"
    assert found["spec"]["grains"] == ["P1D", "P1M", "P1W", "P1Y", "P3M", "PT1H", "PT1M", "PT1S"]


def test_superset_finds_schemas_tables_columns_and_times(found: dict[str, Any]) -> None:
    seen = found["introspection"]
    assert seen["schemas"] == ["DEFAULT"]
    assert "FACTS" in seen["tables"]
    assert seen["columns"].items() >= {"TS": "TIMESTAMP", "JOB": "VARCHAR(256)", "SAMPLES": "BIGINT"}.items()
    assert seen["times"] == ["DAY_START", "HOUR_START", "MINUTE_START", "TS"]
    assert seen["ping"] == [True, 1]
    assert seen["sql_lab"] == [[ODD_JOB, 1], ["bert", 100]]


@pytest.mark.parametrize(
    ("grain", "groups", "first"),
    [("SECOND", 100, "2026-11-24T04:00:00"), ("MINUTE", 17, "2026-11-24T04:00:00"), ("HOUR", 1, "2026-11-24T04:00:00"),
     ("DAY", 1, "2026-11-24T00:00:00"), ("WEEK", 1, "2026-11-22T00:00:00"), ("MONTH", 1, "2026-11-01T00:00:00"),
     ("QUARTER", 1, "2026-10-01T00:00:00"), ("YEAR", 1, "2026-01-01T00:00:00")],
)  # fmt: skip
def test_time_grain_of_superset_s_is_answered(found: dict[str, Any], grain: str, groups: int, first: str) -> None:
    answer = found["questions"][f"grain {grain}"]
    assert answer["error"] is None
    assert f"TO {grain})" in answer["sql"]
    assert '"DEFAULT"."FACTS"' in answer["sql"]
    assert answer["columns"] == ["__timestamp", "count"]
    assert (len(answer["rows"]), sum(count for _, count in answer["rows"])) == (groups, 100)
    assert min(moment for moment, _ in answer["rows"]).startswith(first)


@pytest.mark.parametrize(
    ("question", "columns", "rows"),
    [("filters", ["JOB", "count", "most"], [["bert", 90, 99.0]]), ("ad hoc", ["mean"], [[49.5]]),
     ("top series", ["__timestamp", "JOB", "count"], [["2026-11-24T04:00:00.000", "bert", 100]]),
     ("raw rows", ["TS", "DAY_START", "METRIC_VALUE"],
      [[f"2026-11-24T04:00:{10 * step:02}.000", "2026-11-24T00:00:00.000", float(step)] for step in range(3)])],
)  # fmt: skip
def test_chart_of_superset_s_is_answered(
    found: dict[str, Any], question: str, columns: list[str], rows: list[list[Any]]
) -> None:
    answer = found["questions"][question]
    assert (answer["error"], answer["columns"], answer["rows"]) == (None, columns, rows)
