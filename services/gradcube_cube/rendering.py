"""An answer in, a body in Arrow, CSV or JSON out: in parts, so that no more than one is in memory beside the answer."""

import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.csv

from gradcube.cube.questions import Answer
from gradcube.cube.sandbox.cells import column_texts
from gradcube_cube.kylin_errors import KylinError

ARROW, CSV, JSON = "application/vnd.apache.arrow.stream", "text/csv", "application/json"
_LIKE = {"*/*": JSON, "application/*": JSON, "text/*": CSV}


def accepted(header: str | None) -> str:
    """The best of the three that an Accept header allows, JSON where there is none. Raises KylinError 406."""
    ranges = [_range(part) for part in (header or "*/*").split(",")]
    for name, weight in sorted(ranges, key=lambda one: -one[1]):
        kind = _LIKE.get(name, name)
        if kind in (ARROW, CSV, JSON) and weight > 0:
            return kind
    raise KylinError(406, f"Answers are {ARROW}, {CSV} or {JSON}.")


def parts(answer: Answer, kind: str, offset: int = 0, limit: int | None = None) -> Iterator[bytes]:
    """The body of the rows from `offset` on, at most `limit` of them: batch by batch."""
    yield from _WRITERS[kind](answer, _page(answer.result.batches, offset, limit))


def headers(answer: Answer, query_id: str) -> Mapping[str, str]:
    """What a body in Arrow or CSV has no place for."""
    return {
        "X-Gradcube-Query": query_id,
        "X-Gradcube-Rows": str(answer.result.rows),
        "X-Gradcube-Partial": str(answer.result.partial).lower(),
    }


def _range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    weights = [one.removeprefix("q=") for one in parameters if one.startswith("q=")]
    try:
        return name, float(weights[0]) if weights else 1.0
    except ValueError:
        return name, 0.0


def _page(batches: tuple[pa.RecordBatch, ...], offset: int, limit: int | None) -> Iterator[pa.RecordBatch]:
    left = limit
    for batch in batches:
        part = batch.slice(min(offset, batch.num_rows), left)
        offset = max(0, offset - batch.num_rows)
        left = None if left is None else left - part.num_rows
        if part.num_rows:
            yield part
        if left == 0:
            return


class _Sink(io.RawIOBase):
    """Keeps what is written until it is taken."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written.append(bytes(data))
        return len(self._written[-1])

    def take(self) -> bytes:
        written, self._written = b"".join(self._written), []
        return written


def _arrow(answer: Answer, batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    sink = _Sink()
    with pa.ipc.new_stream(sink, answer.result.schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
            yield sink.take()
    yield sink.take()


def _csv(answer: Answer, batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    sink = _Sink()
    schema = pa.schema([field.with_type(_csv_type(field.type)) for field in answer.result.schema])
    with pa.csv.CSVWriter(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(_written_out(batch, schema))
            yield sink.take()
    yield sink.take()


def _csv_type(kind: pa.DataType) -> pa.DataType:
    return pa.string() if kind == pa.month_day_nano_interval() or pa.types.is_nested(kind) else kind


def _written_out(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [
        column if column.type == field.type else pa.array(column_texts(column), pa.string())
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.record_batch(columns, schema=schema)


def _json(answer: Answer, batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    """Numbers and booleans are JSON's, everything else is the text that Kylin has for it."""
    columns = [{"name": column.name, "type": column.type.name} for column in answer.columns]
    yield b'{"columns":' + orjson.dumps(columns) + b',"rows":['
    between = b""
    for batch in batches:
        rows = list(zip(*map(_json_cells, batch.columns), strict=True))
        yield between + orjson.dumps(rows)[1:-1]
        between = b","
    rest = {"partial": answer.result.partial, "seconds": round(answer.result.seconds, 6)}
    yield b"]," + orjson.dumps(rest)[1:]


def _json_cells(column: pa.Array) -> list[Any]:
    kind = column.type
    plain = pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return column.to_pylist() if plain else column_texts(column)


_WRITERS: Mapping[str, Callable[[Answer, Iterator[pa.RecordBatch]], Iterator[bytes]]] = {
    ARROW: _arrow, CSV: _csv, JSON: _json,
}  # fmt: skip
