"""Columns of a table as numpy arrays, or a TraceError that names the row that cannot be read."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as arrow
from numpy.typing import NDArray
from pyarrow import compute

from gradcube.errors import TraceError
from gradcube.windows.columns import BoolArray, FloatArray, IntArray

MAX_SECONDS = 2**53 / 1e6
"""The year 2255: beyond it a float no longer holds microseconds, and nobody recorded then."""


def integers(column: Any, name: str, *, null: int | None, most: int) -> IntArray:
    """(rows,) whole numbers from 0 to `most`, `null` where there is none; null None: there must be one."""
    missing = _null(column)
    if arrow.types.is_integer(column.type):
        whole = _cast(column, arrow.int64(), name, int)
    elif is_text(column.type):
        whole = _from_text(column, name)
    else:
        whole = _whole(reals(column, name), name)
    bad = (whole < 0) & ~missing
    hint = "; leave it empty for the whole job" if name == "rank" else ""
    _refuse(bad, column, lambda found: f"{name} {found} is negative{hint}")
    _refuse((whole > most) & ~missing, column, lambda found: f"{name} {found} is more than {most}")
    if null is None:
        _refuse(missing, column, lambda _: f"it has no {name}")
        return whole
    return np.where(missing, null, whole)


def reals(column: Any, name: str) -> FloatArray:
    """(rows,) float64, NaN for null."""
    if arrow.types.is_boolean(column.type):
        raise TraceError(f"column {name} holds {column.type}, not numbers")
    return _cast(column, arrow.float64(), name, float)


def seconds(column: Any) -> FloatArray:
    """(rows,) seconds since 1970 of numbers or timestamps, NaN for null."""
    if arrow.types.is_timestamp(column.type):
        return reals(column.cast(arrow.timestamp("us"), safe=False).cast(arrow.int64()), "time") / 1e6
    if is_text(column.type):
        column = _parsed_times(column)
        if arrow.types.is_timestamp(column.type):
            return seconds(column)
    found = reals(column, "time")
    with np.errstate(invalid="ignore"):
        _refuse((found < 0) | (found > MAX_SECONDS), column, lambda at: f"time {at} is not in seconds since 1970")
    return found


def texts(column: Any, name: str) -> tuple[NDArray[np.int32], list[str]]:
    """(rows,) positions in the list of distinct texts; null is ''."""
    if not arrow.types.is_dictionary(column.type):
        if not is_text(column.type) and not arrow.types.is_null(column.type):
            raise TraceError(f"column {name} holds {column.type}, not text")
        column = column.cast(arrow.string()).dictionary_encode()
    whole = column.unify_dictionaries().combine_chunks()
    try:
        names = [text or "" for text in whole.dictionary.cast(arrow.string()).to_pylist()]
    except (UnicodeDecodeError, arrow.ArrowException) as error:
        raise TraceError(f"column {name} holds something else than text: {error}") from error
    codes = whole.indices.fill_null(len(names)).to_numpy(zero_copy_only=False).astype(np.int32)
    return codes, [*names, ""] if whole.null_count else names


def is_text(kind: Any) -> bool:
    """Whether an Arrow type is text, short or long."""
    return bool(arrow.types.is_string(kind) or arrow.types.is_large_string(kind))


def _null(column: Any) -> BoolArray:
    null = compute.is_null(column, nan_is_null=arrow.types.is_floating(column.type))
    if is_text(column.type):
        null = compute.or_(null, compute.is_in(compute.ascii_lower(column), value_set=arrow.array(["", "nan", "null"])))
    found: BoolArray = null.to_numpy().astype(bool)
    return found


def _cast(column: Any, wanted: Any, name: str, read: Callable[[str], Any]) -> NDArray[Any]:
    """The column as `wanted`; null becomes NaN, or 0 for integers."""
    filler = float("nan") if arrow.types.is_floating(wanted) else 0
    try:
        if is_text(column.type):
            column = compute.if_else(arrow.array(_null(column)), None, compute.utf8_trim_whitespace(column))
        numbers: NDArray[Any] = column.cast(wanted).fill_null(filler).to_numpy()
    except arrow.ArrowException as error:
        raise TraceError(_first_bad(column, name, read) or f"column {name} cannot be read: {error}") from error
    return numbers


def _first_bad(column: Any, name: str, read: Callable[[str], Any]) -> str | None:
    for row, found in enumerate(column.to_pylist(), start=1):
        try:
            read(found) if found is not None else None
        except (TypeError, ValueError):
            return f"row {row}: {name} is {str(found)[:40]!r}, not a number"
    return None


def _from_text(column: Any, name: str) -> IntArray:
    try:
        return _cast(column, arrow.int64(), name, int)
    except TraceError:
        return _whole(_cast(column, arrow.float64(), name, float), name)


def _whole(found: FloatArray, name: str) -> IntArray:
    """Whole numbers that were written as floats; NaN becomes 0."""
    filled = np.nan_to_num(found, nan=0.0, posinf=np.inf, neginf=-np.inf)
    bad = ~(np.abs(filled) < 2.0**63)
    if bad.any():
        row = int(np.argmax(bad))
        raise TraceError(f"row {row + 1}: {name} {found[row]:g} is beyond 64 bits")
    broken = np.floor(filled) != filled
    if broken.any():
        row = int(np.argmax(broken))
        raise TraceError(f"row {row + 1}: {name} {found[row]:g} is not a whole number")
    return filled.astype(np.int64)


def _parsed_times(column: Any) -> Any:
    """Text of a CSV file that was read as such: numbers, else points in time."""
    try:
        return arrow.chunked_array([arrow.array(_cast(column, arrow.float64(), "time", float))])
    except TraceError:
        try:
            return column.cast(arrow.timestamp("us"))
        except arrow.ArrowException:
            raise TraceError(_first_bad(column, "time", float) or "column time cannot be read") from None


def _refuse(bad: BoolArray, column: Any, sentence: Callable[[Any], str]) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise TraceError(f"row {row + 1}: {sentence(column[row].as_py())}")
