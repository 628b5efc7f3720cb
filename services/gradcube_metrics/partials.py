"""What stage one sends to stage two: the rows of one job out of one batch, as Avro `Partial`, and back."""

from collections.abc import Mapping
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
    """The framed Avro record. Columns of one type travel as one: each costs its share of both ends' time."""
    alike: dict[str, dict[str, Column]] = {}
    for name, column in partial.rows.to_columns().items():
        dtype = UTF8 if isinstance(column, list) else column.dtype.newbyteorder("<").str
        alike.setdefault(dtype, {})[name] = column
    columns = [_pack(dtype, named) for dtype, named in alike.items()]
    topic, partition = partial.source
    record = {"job": partial.job, "source_topic": topic, "source_partition": partition}
    return encode("Partial", {**record, "count": len(partial.rows), "columns": columns})


def decode_partial(value: bytes) -> Partial:
    """The inverse. Raises SchemaError for anything else than a Partial with whole columns of a known source."""
    name, record = decode(value)
    table = TABLES.get(record["source_topic"]) if name == "Partial" else None
    if table is None:
        raise SchemaError(f"a {name} record is no partial of {sorted(TABLES)}: was it sent by another release?")
    columns: Columns = {}
    for each in record["columns"]:
        columns |= _unpack(each, record["count"])
    return Partial((record["source_topic"], record["source_partition"]), table.from_columns(record["job"], columns))


def _pack(dtype: str, named: Mapping[str, Column]) -> dict[str, Any]:
    data = b"".join(_texts(each) if isinstance(each, list) else each.tobytes() for each in named.values())
    return {"name": " ".join(named), "dtype": dtype, "data": data}


def _texts(column: list[str]) -> bytes:
    encoded = [text.encode() for text in column]
    return b"".join(len(text).to_bytes(4, "little") + text for text in encoded)


def _unpack(column: dict[str, Any], count: int) -> Columns:
    names, dtype, data = column["name"].split(" "), column["dtype"], column["data"]
    if dtype == UTF8:
        texts = _unpack_texts(column["name"], data, len(names) * count)
        return {name: texts[at * count : (at + 1) * count] for at, name in enumerate(names)}
    if dtype not in DTYPES:
        raise SchemaError(f"column {column['name']!r} has dtype {dtype!r}, known are {DTYPES} and {UTF8!r}")
    if len(data) != len(names) * count * int(dtype[-1]):
        raise SchemaError(f"column {column['name']!r} has {len(data)} bytes for {count} values of {dtype} each")
    values: NDArray[Any] = np.frombuffer(data, dtype).reshape(len(names), count)
    return dict(zip(names, values, strict=True))


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
