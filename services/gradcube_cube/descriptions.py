"""Cubes and views in the shapes of Kylin's metadata answers. Pure functions of the catalog."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gradcube.cube.guard import SCHEMA
from gradcube.cube.model import Catalog, Column, CubeModel

_NAMESPACE = uuid.UUID("6f1e1c62-3f0e-5d6c-9a33-3f9f0d6e4b1a")


def identity(*parts: str) -> str:
    """The same uuid for the same thing after every start."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(parts)))


@dataclass(frozen=True)
class Table:
    """What may stand after FROM: a cube, or a view."""

    name: str
    columns: Sequence[Column]
    is_view: bool = False


def project(name: str, catalog: Catalog) -> dict[str, Any]:
    """One element of `/projects`."""
    cubes = [cube_name(model) for model in catalog.cubes.values()]
    return {
        "uuid": identity("project", name),
        "last_modified": 0,
        "version": "3.0.0.20500",
        "name": name,
        "tables": [f"{SCHEMA}.{table}" for table in catalog.names],
        "owner": "ADMIN",
        "status": "ENABLED",
        "description": "",
        "realizations": [{"name": cube, "type": "CUBE", "realization": cube} for cube in cubes],
        "models": [model_name(model) for model in catalog.cubes.values()],
        "ext_filters": [],
        "override_kylin_properties": {},
    }


def cube_name(model: CubeModel) -> str:
    """As in the `cube` of an answer."""
    return f"{model.name.lower()}_cube"


def model_name(model: CubeModel) -> str:
    """As `model_name` of the cube."""
    return f"{model.name.lower()}_model"


def tables_and_columns(tables: Iterable[Table]) -> list[dict[str, Any]]:
    """JDBC's metadata of tables, with columns inside. Kylin's driver refuses any field that it does not know."""
    return [_jdbc_table(one) for one in tables]


def _jdbc_table(table: Table) -> dict[str, Any]:
    named = {"table_CAT": "defaultCatalog", "table_SCHEM": SCHEMA, "table_NAME": table.name}
    rest = ("remarks", "type_CAT", "type_SCHEM", "type_NAME", "self_REFERENCING_COL_NAME", "ref_GENERATION")
    columns = [_jdbc_column(table, column, place) for place, column in enumerate(table.columns, 1)]
    kind = {"table_TYPE": "VIEW" if table.is_view else "TABLE"}
    return named | kind | dict.fromkeys(rest) | {"columns": columns}


def _jdbc_column(table: Table, column: Column, place: int) -> dict[str, Any]:
    return {
        "table_CAT": "defaultCatalog",
        "table_SCHEM": SCHEMA,
        "table_NAME": table.name,
        "column_NAME": column.name,
        "data_TYPE": column.type.jdbc_code,
        "type_NAME": column.type.type_name,
        "column_SIZE": column.type.precision,
        "buffer_LENGTH": -1,
        "decimal_DIGITS": column.type.scale,
        "num_PREC_RADIX": 10,
        "nullable": 1,
        "remarks": column.doc,
        "column_DEF": None,
        "sql_DATA_TYPE": -1,
        "sql_DATETIME_SUB": -1,
        "char_OCTET_LENGTH": column.type.precision,
        "ordinal_POSITION": place,
        "is_NULLABLE": "YES",
        "source_DATA_TYPE": -1,
        "is_AUTOINCREMENT": "",
    }


def table(described: Table) -> dict[str, Any]:
    """One element of `/tables?ext=True`."""
    columns = [
        {"id": str(place), "name": column.name, "datatype": datatype(column)}
        for place, column in enumerate(described.columns, 1)
    ]
    name = described.name
    return {"uuid": identity("table", name), "name": name, "database": SCHEMA, "columns": columns}


def datatype(column: Column) -> str:
    """As Kylin's table descriptions spell it."""
    kind = column.type
    return f"varchar({kind.precision})" if kind.name == "VARCHAR" else kind.name.lower()


def cube(model: CubeModel, project_name: str) -> dict[str, Any]:
    """One element of `/cubes`."""
    return {
        "uuid": identity("cube", model.name),
        "name": cube_name(model),
        "owner": "ADMIN",
        "descriptor": cube_name(model),
        "model": model_name(model),
        "project": project_name,
        "status": "READY",
        "segments": [],
        "size_kb": 0,
        "is_streaming": True,
    }


def cube_description(model: CubeModel) -> dict[str, Any]:
    """`/cube_desc/{cube}/desc`."""
    dimensions = [
        {"name": column.name, "table": model.name, "column": column.name, "derived": None}
        for column in model.of_kind("time", "derived", "dimension")
    ]
    counted = _measure("_COUNT_", "COUNT", "constant", "1", "bigint")
    functions = ("SUM", "MIN", "MAX")
    measures = [
        _measure(f"{column.name}_{function}", function, "column", f"{model.name}.{column.name}", datatype(column))
        for column in model.of_kind("measure")
        for function in functions
    ]
    return {
        "uuid": identity("cube_desc", model.name),
        "last_modified": 0,
        "name": cube_name(model),
        "model_name": model_name(model),
        "dimensions": dimensions,
        "measures": [counted, *measures],
    }


def _measure(name: str, function: str, kind: str, value: str, returns: str) -> dict[str, Any]:
    parameter = {"type": kind, "value": value, "next_parameter": None}
    return {"name": name, "function": {"expression": function, "parameter": parameter, "returntype": returns}}


def model_description(model: CubeModel) -> dict[str, Any]:
    """One element of `/models`."""
    dimensions = [column.name for column in model.of_kind("time", "derived", "dimension")]
    return {
        "uuid": identity("model", model.name),
        "name": model_name(model),
        "owner": "ADMIN",
        "description": "",
        "fact_table": f"{SCHEMA}.{model.name}",
        "lookups": [],
        "dimensions": [{"table": model.name, "columns": dimensions}],
        "metrics": [f"{model.name}.{column.name}" for column in model.of_kind("measure")],
        "filter_condition": "",
        "capacity": "MEDIUM",
    }
