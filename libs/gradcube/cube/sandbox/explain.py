"""The engine's words of an error in Kylin's words."""

import re

from gradcube.errors import QueryError


def explain(text: str) -> QueryError:
    """The first line only: the rest shows our own translation of the statement."""
    line = re.sub(r"^[\w ]*Error: ", "", (text.strip().splitlines() or ["failed"])[0])
    for pattern in (
        r'[Cc]olumn "(?:[^"]*\.)?([^".]+)" not found',
        r'Column "([^"]+)" referenced that exists in the SELECT clause',
    ):
        if match := re.search(pattern, line):
            return QueryError(f"Column '{match[1]}' not found in any table")
    return QueryError(f"Error while executing SQL: {line}")
