"""Asking a gateway, or Kylin itself, through the stock kylinpy: columns and typed rows out."""

import warnings
from dataclasses import dataclass
from typing import Any
from urllib.error import URLError

from gradcube.errors import ConfigError, QueryError


@dataclass(frozen=True)
class Rows:
    """`rows` hold int, float, bool, date, datetime, str or None, as the columns' types say."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    partial: bool


def open_kylin(url: str) -> Any:
    """kylinpy's object for `kylin://user:password@host:port/project?version=v1`. Nothing is sent yet."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=SyntaxWarning, module=r"kylinpy\..*")
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"kylinpy\..*")
            from kylinpy import create_kylin
    except ModuleNotFoundError as error:
        raise ConfigError(f"{error}; install gradcube[sql] to ask in SQL") from error
    return create_kylin(url)


def query(kylin: Any, sql: str, *, limit: int = 50_000) -> Rows:
    """Answers one SELECT. Raises QueryError with the server's words, also when it cannot be reached."""
    from kylinpy.client import HTTPError
    from kylinpy.exceptions import KylinError
    from kylinpy.utils.kylin_types import kylin_to_python

    try:
        answer = kylin.query(sql, limit=limit)
    except (KylinError, HTTPError) as error:
        raise QueryError(str(error)) from error
    except URLError as error:
        raise QueryError(
            f"{kylin.host}:{kylin.port} did not answer: {error.reason}.", hint="Is the gateway up?"
        ) from error
    types = tuple(meta["columnTypeName"] for meta in answer["columnMetas"])
    rows = [
        tuple(kylin_to_python(kind, value) for kind, value in zip(types, row, strict=True)) for row in answer["results"]
    ]
    return Rows(tuple(meta["label"] for meta in answer["columnMetas"]), types, rows, bool(answer["partial"]))
