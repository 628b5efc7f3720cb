"""DuckDB's own reading of the text that will run: one SELECT over the given views and nothing else.

The guard reads with sqlglot, the engine with its own parser; where the two differ, this check has the last word.
"""

import json
import re
from collections.abc import Collection
from typing import Any

from gradcube.errors import QueryError

_NODES = frozenset({
    "SELECT_NODE", "SET_OPERATION_NODE", "BASE_TABLE", "SUBQUERY", "JOIN", "EMPTY", "EXPRESSION_LIST",
    "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "ORDER_MODIFIER", "DISTINCT_MODIFIER",
})  # fmt: skip
_Names = frozenset[tuple[str, str]]  # schema or nothing, and name, in upper case
_ORDER = re.compile(r"(ORDER_|ASCENDING|DESCENDING)\w*")
# Functions of DuckDB that do more than compute: they write its log, read its settings and sequences, or sleep.
_FUNCTIONS = frozenset({
    "write_log", "current_setting", "sleep_ms", "getvariable", "nextval", "currval", "current_query", "setseed",
    "json_execute_serialized_sql", "getenv",
})  # fmt: skip


def check(connection: Any, sql: str, schema: str, tables: Collection[str]) -> None:
    """Raises QueryError naming what DuckDB found in the text that is no view of `schema` and no plain query."""
    [[text]] = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()
    tree = json.loads(text)
    if tree.get("error"):
        raise QueryError(f"Not Supported SQL. {str(tree.get('error_message'))[:200]}")
    if len(tree["statements"]) != 1:
        raise QueryError(f"Not Supported SQL. {len(tree['statements'])} statements were sent.")
    known = frozenset((place, name.upper()) for place in ("", schema.upper()) for name in tables)
    _check(tree["statements"][0]["node"], known)


def _check(node: Any, known: _Names) -> None:
    if isinstance(node, list):
        for part in node:
            _check(part, known)
    elif isinstance(node, dict):
        known = _check_with(node.get("cte_map"), known)
        _check_one(node, known)
        for key, part in node.items():
            if key != "cte_map":
                _check(part, known)


def _check_with(ctes: Any, known: _Names) -> _Names:
    # A name counts only behind its own definition: elsewhere DuckDB would take it for a file or a catalog's table.
    for entry in (ctes or {}).get("map", ()):
        _check(entry["value"], known)
        known |= {("", entry["key"].upper())}
    return known


def _check_one(node: dict[str, Any], known: _Names) -> None:
    kind = node.get("type")
    if node.get("class") == "FUNCTION" and str(node.get("function_name")).lower() in _FUNCTIONS:
        raise QueryError(f"Not Supported SQL. {node['function_name']} is not answered here.")
    if "class" in node or not isinstance(kind, str):
        return
    if kind not in _NODES and not _ORDER.fullmatch(kind):
        raise QueryError(f"Not Supported SQL. {kind} is not answered here.")
    if kind == "BASE_TABLE":
        place, name = str(node["schema_name"]), str(node["table_name"])
        if node["catalog_name"] or (place.upper(), name.upper()) not in known:
            raise QueryError(f"Object '{name[:100]}' not found.")
