"""A fact: one number about one subject in one window, as the flat JSON row that the cube reads.

The columns are those of schemas/cubes/facts.yaml without the derived ones.
"""

import hashlib
import json
import sys
from typing import Any, TypedDict, cast

from gradcube.errors import SchemaError


class Fact(TypedDict):
    """One row. TS is the start of the window in milliseconds since the epoch, UTC."""

    TS: int
    WINDOW_SECONDS: int
    JOB: str
    ATTEMPT: int
    MODEL: str
    MODEL_PARAMETERS: int
    HARDWARE: str
    DATASET: str
    SUBJECT_KIND: str
    SUBJECT: str
    NODE: str
    STAGE: int
    FAMILY: str
    METRIC: str
    FACT_ID: str
    METRIC_VALUE: float
    METRIC_SUM: float
    METRIC_MIN: float
    METRIC_MAX: float
    SAMPLES: int


FACT_COLUMNS: tuple[str, ...] = tuple(Fact.__annotations__)
_KINDS: dict[str, type] = dict(Fact.__annotations__)
_COLUMN_SET = frozenset(FACT_COLUMNS)
_LARGEST = sys.float_info.max
_LONG = range(-(2**63), 2**63)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def fact_id(
    *,
    job: str,
    attempt: int,
    ts_millis: int,
    window_seconds: int,
    subject_kind: str,
    subject: str,
    metric: str,
) -> str:
    """32 hex digits that depend on the arguments alone: the same window computed again gives the same row."""
    parts = [job, int(attempt), int(ts_millis), int(window_seconds), subject_kind, subject, metric]
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def encode_fact(fact: Fact) -> bytes:
    """UTF-8 JSON, the columns in their order; integers as integers, since Kylin drops a row with 3.0 for one.

    Raises ValueError that names the column that is missing, unknown, null, NaN, infinite or of another type.
    """
    row = cast(dict[str, Any], fact)
    _check(row)
    ordered = {name: float(row[name]) if kind is float else row[name] for name, kind in _KINDS.items()}
    return _ENCODER.encode(ordered).encode()


def decode_fact(value: bytes) -> Fact:
    """The row. Raises SchemaError for anything that `encode_fact` would not have written."""
    try:
        row = json.loads(value, parse_constant=_refuse_constant)
        _check(row)
    except (ValueError, TypeError, RecursionError) as error:
        raise SchemaError(f"not a fact: {error}") from error
    return cast(Fact, row)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON; a measure is a finite number")


def _check(row: Any) -> None:
    if not isinstance(row, dict):
        raise ValueError(f"a fact is one JSON object, this is {type(row).__name__}")
    if row.keys() != _COLUMN_SET:
        odd = sorted(map(str, row.keys() ^ _COLUMN_SET))
        raise ValueError(f"columns {', '.join(odd[:5])} are missing or unknown; send each of FACT_COLUMNS, flat")
    for name, kind in _KINDS.items():
        if not _fits(row[name], kind):
            raise ValueError(f"{name} must be a {_WANTED[kind]}, it is {row[name]!r:.80}")


_WANTED = {int: "64-bit integer", float: "finite number", str: "string of valid Unicode"}


def _fits(value: Any, kind: type) -> bool:
    if kind is float:
        return type(value) in (float, int) and -_LARGEST <= value <= _LARGEST
    if kind is int:
        return type(value) is int and value in _LONG
    return isinstance(value, str) and (value.isascii() or _is_unicode(value))


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
