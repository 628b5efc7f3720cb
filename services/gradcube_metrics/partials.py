"""What stage one sends to stage two: the rows of one job out of one batch, as Avro `Partial`, and back."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcube.errors import SchemaError
from gradcube.events import decode, encode
from gradcube.windows.columns import Column, Columns, Table
from gradcube.windows.rows import EvaluationRows, ResourceRows, ServerRows, StepRows

STEPS = "gradcube.steps"
RESOURCES = "gradcube.resources"
SERVER_SYNCS = "gradcube.server-syncs"
EVALUATIONS = "gradcube.evaluations"
TABLES: dict[str, type[Table]] = {
    STEPS: StepRows,
    RESOURCES: ResourceRows,
    SERVER_SYNCS: ServerRows,
    EVALUATIONS: EvaluationRows,
}
UTF8 = "utf8"
DTYPES = ("<i4", "<i8", "<f4", "<f8")


@dataclass(frozen=True)
class Partial:
    """`rows` of one job from one partition of one source topic."""

    source: tuple[str, int]
    rows: Any

    @property
    def job(self) -> str:
        """The job that all rows belong to."""
        return str(self.rows.job)


def encode_partial(partial: Partial) -> bytes:
    """The framed Avro record."""
    columns = [_pack(name, column) for name, column in partial.rows.to_columns().items()]
    topic, partition = partial.source
    record = {"job": partial.job, "source_topic": topic, "source_partition": partition}
    return encode("Partial", {**record, "count": len(partial.rows), "columns": columns})


def decode_partial(value: bytes) -> Partial:
    """The inverse. Raises SchemaError for anything else than a Partial with whole columns of a known source."""
    name, record = decode(value)
    table = TABLES.get(record["source_topic"]) if name == "Partial" else None
    if table is None:
        raise SchemaError(f"a {name} record is no partial of {sorted(TABLES)}: was it sent by another release?")
    columns: Columns = {each["name"]: _unpack(each, record["count"]) for each in record["columns"]}
    return Partial((record["source_topic"], record["source_partition"]), table.from_columns(record["job"], columns))


def _pack(name: str, column: Column) -> dict[str, Any]:
    if isinstance(column, list):
        encoded = [text.encode() for text in column]
        data = b"".join(len(text).to_bytes(4, "little") + text for text in encoded)
        return {"name": name, "dtype": UTF8, "data": data}
    return {"name": name, "dtype": column.dtype.newbyteorder("<").str, "data": column.tobytes()}


def _unpack(column: dict[str, Any], count: int) -> Column:
    name, dtype, data = column["name"], column["dtype"], column["data"]
    if dtype == UTF8:
        return _unpack_texts(name, data, count)
    if dtype not in DTYPES:
        raise SchemaError(f"column {name!r} has dtype {dtype!r}, known are {DTYPES} and {UTF8!r}")
    if len(data) != count * int(dtype[-1]):
        raise SchemaError(f"column {name!r} has {len(data)} bytes for {count} values of {dtype}")
    values: NDArray[Any] = np.frombuffer(data, dtype)
    return values


def _unpack_texts(name: str, data: bytes, count: int) -> list[str]:
    texts, at, known = list[str](), 0, dict[bytes, str]()
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        raw = data[at + 4 : end]
        if end > len(data) or len(texts) == count:
            raise SchemaError(f"column {name!r} has texts beyond its {len(data)} bytes or {count} values")
        try:
            texts.append(known[raw] if raw in known else known.setdefault(raw, raw.decode()))
        except UnicodeDecodeError as error:
            raise SchemaError(f"column {name!r} has a text that is not UTF-8: {error}") from error
        at = end
    if len(texts) != count:
        raise SchemaError(f"column {name!r} has {len(texts)} texts for {count} values")
    return texts
