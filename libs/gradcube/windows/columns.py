"""Tables of equally long columns, and their form on the wire: what the two stages of the metrics service exchange.

A table is a frozen dataclass whose fields are numpy arrays of one length; a dict of columns comes in or goes out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradcube.errors import SchemaError

Column: TypeAlias = "NDArray[Any] | list[str]"
Columns: TypeAlias = dict[str, Column]
BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float64]


class Table:
    """Base of the row types: everything that follows from being columns of one length.

    A subclass is a frozen dataclass with a `job` and array fields; MATRICES names the fields that are
    (rows, names) matrices and travel as one column a name. ADDED are those of these columns that came later: where
    an older release wrote the rows, they are NaN. Columns of a newer release are passed over.
    """

    DTYPES: ClassVar[Mapping[str, str]]
    MATRICES: ClassVar[Mapping[str, Any]]
    ADDED: ClassVar[frozenset[str]] = frozenset()
    job: str
    offset: IntArray

    def __len__(self) -> int:
        return len(self.offset)

    def take(self, rows: BoolArray | IntArray) -> Self:
        """The rows that a mask (rows,) or an array of positions picks, in that order."""
        picked = {name: getattr(self, name)[rows] for name in self.DTYPES}
        return replace(self, **picked)  # type: ignore[type-var]

    @classmethod
    def concat(cls, tables: Sequence[Self]) -> Self:
        """The rows of all tables, one after the other. ValueError for none, or for tables of two jobs."""
        jobs = {table.job for table in tables}
        if len(jobs) != 1:
            raise ValueError(f"concat needs tables of exactly one job, got {sorted(jobs)}")
        joined = {name: np.concatenate([getattr(table, name) for table in tables]) for name in cls.DTYPES}
        return replace(tables[0], **joined)  # type: ignore[type-var]

    def to_columns(self) -> Columns:
        """The columns by name; strings as lists, a matrix as one column for each of its names."""
        columns: Columns = {}
        for name, dtype in self.DTYPES.items():
            values = getattr(self, name)
            if name in self.MATRICES:
                columns |= {part: values[:, at].copy() for at, part in enumerate(self.MATRICES[name])}
            else:
                columns[name] = values.tolist() if dtype == "O" else values
        return columns

    @classmethod
    def from_columns(cls, job: str, columns: Mapping[str, Column]) -> Self:
        """The inverse of `to_columns`. SchemaError names a column that is missing or of another length."""
        built: dict[str, Any] = {}
        for name, dtype in cls.DTYPES.items():
            if name in cls.MATRICES:
                parts = [_column(cls._or_nan(columns, part), part, dtype) for part in cls.MATRICES[name]]
                _same_length(cls.MATRICES[name], parts)
                built[name] = np.stack(parts, axis=1)
            else:
                built[name] = _column(columns, name, dtype)
        _same_length(list(built), list(built.values()))
        return cls(job=job, **built)  # type: ignore[call-arg]

    @classmethod
    def _or_nan(cls, columns: Mapping[str, Column], name: str) -> Mapping[str, Column]:
        if name not in cls.ADDED or name in columns or "offset" not in columns:
            return columns
        return {name: np.full(len(columns["offset"]), np.nan)}


def _column(columns: Mapping[str, Column], name: str, dtype: str) -> NDArray[Any]:
    try:
        return np.asarray(columns[name], dtype=object if dtype == "O" else dtype)
    except KeyError:
        raise SchemaError(f"column {name!r} is missing, there are {sorted(columns)}; same release?") from None
    except (TypeError, ValueError) as error:
        raise SchemaError(f"column {name!r} cannot be read as {dtype}: {error}") from error


def _same_length(names: Sequence[str], columns: Sequence[NDArray[Any]]) -> None:
    lengths = {name: len(column) for name, column in zip(names, columns, strict=True)}
    if len(set(lengths.values())) > 1:
        raise SchemaError(f"columns of one table differ in length: {lengths}")
