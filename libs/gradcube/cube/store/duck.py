"""A DuckDB in memory for the store's own work: one thread, bounded memory, no files but the store's."""

from pathlib import Path
from typing import Any

import duckdb

SPILL = "spill"


def connect(directory: Path, memory_limit: str) -> Any:
    """What does not fit into `memory_limit` is spilled below `directory`/spill, which `Store` empties when it opens."""
    connection = duckdb.connect(
        config={
            "threads": "1", "memory_limit": memory_limit, "temp_directory": str(directory / SPILL),
            "preserve_insertion_order": "false", "allow_community_extensions": "false",
            "autoload_known_extensions": "false", "autoinstall_known_extensions": "false",
        }
    )  # fmt: skip
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET python_enable_replacements = false")
    return connection
