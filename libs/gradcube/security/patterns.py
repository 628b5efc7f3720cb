"""Which jobs are meant: a pattern in which `*` is any text and `?` any one character, as SQL and as a match here.

Nothing else is special: `%`, `_`, `[`, quotes and backslashes are themselves.
"""

import re
from collections.abc import Iterable

from gradcube.errors import ConfigError

EVERYTHING = "*"
MAX_CHARACTERS = 256
_LIKE = {"*": "%", "?": "_", "%": r"\%", "_": r"\_", "\\": r"\\"}


def check_pattern(pattern: str) -> str:
    """The pattern itself. Raises ConfigError for what no SQL text can carry (NUL, lone surrogates), or too long."""
    if not 1 <= len(pattern) <= MAX_CHARACTERS:
        raise ConfigError(f"pattern {pattern!r:.80} must have 1 to {MAX_CHARACTERS} characters")
    if "\0" in pattern or any("\ud800" <= character <= "\udfff" for character in pattern):
        raise ConfigError(f"pattern {pattern!r:.80} has a character that is no text (NUL or half of a pair)")
    return pattern


def is_everything(patterns: Iterable[str]) -> bool:
    """Whether one of them is nothing but `*`."""
    return any(pattern and not pattern.strip(EVERYTHING) for pattern in patterns)


def matches(patterns: Iterable[str], name: str) -> bool:
    """Whether one of them is the name; upper and lower case differ."""
    return any(re.fullmatch(_expression(pattern), name, re.DOTALL) for pattern in patterns)


def condition(column: str, patterns: Iterable[str]) -> str:
    """DuckDB's text, true for the rows whose `column` (trusted text) matches one; never for a null but by `*`.

    Raises ConfigError as `check_pattern` does.
    """
    wanted = sorted({check_pattern(pattern) for pattern in patterns})
    if is_everything(wanted):
        return "true"
    exact = [one for one in wanted if not {"*", "?"} & set(one)]
    parts = [f"{column} IN ({', '.join(map(quoted, exact))})"] if exact else []
    parts += [_like(column, one) for one in wanted if one not in exact]
    return f"({' OR '.join(parts)})" if parts else "false"


def quoted(text: str) -> str:
    """A string literal of standard SQL: quotes doubled, all else itself."""
    return "'" + text.replace("'", "''") + "'"


def _like(column: str, pattern: str) -> str:
    like = quoted("".join(_LIKE.get(character, character) for character in pattern))
    return rf"{column} LIKE {like} ESCAPE '\'"


def _expression(pattern: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
