"""A declared cube in, what Kylin is told of it out: streaming table, model and cube as its REST API takes them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gradcube.cube.model import ROWS_COUNT, Catalog, Column, CubeModel, Rollup
from gradcube.errors import ConfigError
from gradcube.kylin.mapping import field_mapping

SCHEMA = "DEFAULT"
PARSERS = {"json": "gradcube.kylin.RowParser", "avro": "gradcube.kylin.AvroRows"}
"""Our classes in the receivers: Kylin's own counts a null as 0, a row that comes twice as two, and reads no Avro."""
_WHOLE_RECORDS = "gradcube.kylin.WholeRecords"
STREAMING = 20
"""Kylin's number of a table that is a Kafka topic."""
_ENGINE_MAP_REDUCE, _STORAGE_STREAM = 2, 3
_TIME_ENCODINGS = {"timestamp": "time", "date": "date"}
_RETURN_TYPES = {"integer": "bigint"}  # a sum of integers
_PERCENTILE = "percentile(100)"
_SECONDS_OF_DAY = 86_400


@dataclass(frozen=True)
class Windows:
    """`segment_seconds` of event time lie in a segment, which takes rows until `late_seconds` after its end."""

    segment_seconds: int = 3600
    late_seconds: int = 7200


def why_not(model: CubeModel) -> str | None:
    """Why Kylin cannot hold the cube; None when it can."""
    if model.retention.latest:
        return "it keeps the latest row of a key alone"
    if model.source.format == "avro":
        return None
    if model.source.unpivot or model.source.when or model.source.words:
        return "its topic is JSON, but not flat"
    if any("/" in path or path.startswith("$") for _, path in model.source.fields):
        return "a column is put together from several fields, or is the record's own time"
    if model.filters:
        return "it leaves out some records"
    return None


def held(catalog: Catalog) -> frozenset[str]:
    """The cubes that Kylin can hold."""
    return frozenset(name for name, model in catalog.cubes.items() if why_not(model) is None)


def table(model: CubeModel, table_name: str) -> dict[str, Any]:
    """The table's columns; those that Kylin derives from the time by their names are among them."""
    columns = [
        {"id": str(number), "name": column.name, "datatype": _kind(column)}
        for number, column in enumerate(model.columns, 1)
    ]
    return {"name": f"{SCHEMA}.{table_name}", "source_type": STREAMING, "columns": columns}


def stream(model: CubeModel, table_name: str, project: str, bootstrap: str) -> dict[str, Any]:
    """Where the table's rows come from. Raises ConfigError for a cube that Kylin cannot hold."""
    if reason := why_not(model):
        raise ConfigError(f"cube {model.name} cannot be in Kylin: {reason}; it runs on the embedded engine")
    return {
        "name": f"{SCHEMA}.{table_name}",
        "project_name": project,
        "properties": {
            "topic": model.topic,
            "bootstrap.servers": bootstrap,
            "message.parser": PARSERS[model.source.format],
        },
        "parser_info": {
            "ts_col_name": model.time,
            "ts_parser": "org.apache.kylin.stream.source.kafka.LongTimeParser",
            "ts_pattern": "MS",
            "format_ts": False,
            "field_mapping": field_mapping(model),
        },
    }


def data_model(model: CubeModel, table_name: str, name: str, note: str) -> dict[str, Any]:
    """Dimensions and measures; the partition column must be one of the cube's dimensions, so it is a derived time.

    `note` is kept with it, as its description.
    """
    return {
        "name": name, "description": note, "fact_table": f"{SCHEMA}.{table_name}", "lookups": [],
        "dimensions": [{"table": table_name, "columns": [column.name for column in dimensions(model)]}],
        "metrics": sorted({f"{table_name}.{column.name}" for column in model.of_kind("measure")}),
        "filter_condition": "", "capacity": "MEDIUM",
        "partition_desc": {
            "partition_date_column": f"{table_name}.{_finest_time(model)}", "partition_time_column": None,
            "partition_date_start": 0, "partition_date_format": "yyyy-MM-dd HH:mm:ss", "partition_type": "APPEND",
        },
    }  # fmt: skip


def cube(model: CubeModel, table_name: str, model_name: str, name: str, windows: Windows) -> dict[str, Any]:
    """The cube. Without HBase its segments stay in the receivers, and are dropped after `retention.days`."""
    columns, measures = dimensions(model), _measures(model, table_name)
    return {
        "name": name, "model_name": model_name, "description": model.doc, "null_string": None,
        "dimensions": [
            {"name": one.name, "table": table_name, "column": one.name, "derived": None} for one in columns
        ],
        "measures": measures, "dictionaries": [],
        "rowkey": {"rowkey_columns": [_row_key(one, table_name) for one in columns]},
        "aggregation_groups": [_group(one, table_name) for one in model.rollups] or [_whole(columns, table_name)],
        "hbase_mapping": {"column_family": [
            {"name": "F1", "columns": [{"qualifier": "M", "measure_refs": [one["name"] for one in measures]}]}
        ]},
        "partition_date_start": 0, "partition_date_end": 3_153_600_000_000, "auto_merge_time_ranges": [],
        "volatile_range": 0, "retention_range": 0, "engine_type": _ENGINE_MAP_REDUCE, "storage_type": _STORAGE_STREAM,
        "status_need_notify": [], "notify_list": [], "mandatory_dimension_set_list": [],
        "override_kylin_properties": _settings(model, windows),
    }  # fmt: skip


def dimensions(model: CubeModel) -> tuple[Column, ...]:
    """What can be grouped and filtered by: times first. A row's key is none in Kylin: it would tell all rows apart."""
    return tuple(
        one for one in (*model.of_kind("derived", "time"), *model.of_kind("dimension")) if one.name != model.key
    )


def _measures(model: CubeModel, table_name: str) -> list[dict[str, Any]]:
    found = [_measure(ROWS_COUNT, "COUNT", {"type": "constant", "value": "1"}, "bigint")]
    for column in model.columns:
        parameter = {"type": "column", "value": f"{table_name}.{column.name}"}
        kind = _kind(column)
        for function in column.functions:
            if function in ("sum", "min", "max"):
                returned = _RETURN_TYPES.get(kind, kind) if function == "sum" else kind
                found.append(_measure(f"{column.name}__{function.upper()}", function.upper(), parameter, returned))
            elif function == "percentile":
                found.append(_measure(f"{column.name}__PERCENTILE", "PERCENTILE_APPROX", parameter, _PERCENTILE))
    return found


def _measure(name: str, expression: str, parameter: dict[str, str], returned: str) -> dict[str, Any]:
    return {"name": name, "function": {"expression": expression, "parameter": parameter, "returntype": returned}}


def _group(rollup: Rollup, table_name: str) -> dict[str, Any]:
    return {
        "includes": _qualified(rollup.dimensions, table_name),
        "select_rule": {
            "mandatory_dims": _qualified(rollup.mandatory, table_name),
            "hierarchy_dims": [_qualified(one, table_name) for one in rollup.hierarchies],
            "joint_dims": [_qualified(one, table_name) for one in rollup.joints],
        },
    }


def _whole(columns: Sequence[Column], table_name: str) -> dict[str, Any]:
    """One combination, of all: a receiver keeps no other in any case."""
    return _group(Rollup("ALL", tuple(one.name for one in columns), tuple(one.name for one in columns)), table_name)


def _settings(model: CubeModel, windows: Windows) -> dict[str, str]:
    settings = {
        "kylin.stream.cube.window": str(windows.segment_seconds),
        "kylin.stream.cube.duration": str(windows.late_seconds),
        "kylin.stream.consume.offsets.latest": "false",
        "kylin.cube.algorithm": "INMEM",
        "kylin.stream.segment.retention.policy": "purge",
    }
    if model.source.unpivot:
        settings["kylin.stream.store.class"] = _WHOLE_RECORDS
    days = model.retention.days or 36_500
    settings["kylin.stream.segment.retention.policy.purge.retentionTimeInSec"] = str(days * _SECONDS_OF_DAY)
    # A receiver stops reading when it holds more closed segments than this, by default 100.
    held = days * _SECONDS_OF_DAY // windows.segment_seconds + 2
    settings["kylin.stream.immutable.segments.max.num"] = str(held)
    return settings


def _kind(column: Column) -> str:
    return f"varchar({column.type.precision})" if column.type.name == "VARCHAR" else column.type.name.lower()


def _row_key(column: Column, table_name: str) -> dict[str, Any]:
    encoding = _TIME_ENCODINGS.get(_kind(column), "dict")
    return {"column": f"{table_name}.{column.name}", "encoding": encoding, "encoding_version": 1, "isShardBy": False}


def _finest_time(model: CubeModel) -> str:
    names = {column.name for column in model.of_kind("derived")}
    return next(name for name in ("MINUTE_START", "HOUR_START", "DAY_START") if name in names)


def _qualified(names: Iterable[str], table_name: str) -> list[str]:
    return [f"{table_name}.{name}" for name in names]
