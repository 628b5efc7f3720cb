"""A million cells of one answer over HTTP: as Arrow and CSV beside Kylin's JSON, each read into a pandas frame."""

import io
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa

from gradcube.cube.model import load_catalog
from gradcube.settings import KafkaSettings
from tests.bench.facts.engines import Gradcube
from tests.bench.facts.fleet import jobs, series
from tests.bench.facts.tables import Tables
from tests.bench.figure import Figure
from tests.integration.cube.gateway_process import GatewayProcess

NOBODY = KafkaSettings(bootstrap="127.0.0.1:1")
DAY_MILLIS = 86_400_000
RUNS_ROWS = 15_000
Reader = Callable[[httpx.Client, str], tuple[pd.DataFrame, int]]


def run(quick: bool) -> list[Figure]:
    """Every column of so many facts; the row limit of Kylin's JSON allows 50 000. Medians of the rounds."""
    rows, rounds = (5_000, 3) if quick else (50_000, 9)
    with tempfile.TemporaryDirectory(prefix="gradcube-bench-") as name:
        _fill(Path(name) / "store", -(-rows // RUNS_ROWS))
        gateway = GatewayProcess(Path(name), NOBODY)
        gateway.start()
        try:
            with httpx.Client(base_url=gateway.url, auth=("ADMIN", gateway.password), timeout=120) as client:
                found = _measured(client, f"select * from FACTS limit {rows}", rounds)
        finally:
            gateway.stop()
    return [_figure(name, found, rows) for name in ("Arrow", "CSV")]


def _fill(directory: Path, runs: int) -> None:
    catalog = load_catalog()
    today_millis = int(time.time()) // 86_400 * DAY_MILLIS
    with closing(Gradcube(directory, catalog)) as engine:
        engine.fill(Tables(catalog.cubes["FACTS"], series()).of(jobs(runs, today_millis - 90 * DAY_MILLIS)))


def _measured(client: httpx.Client, sql: str, rounds: int) -> dict[str, tuple[float, int, int]]:
    """Of each format: the median of seconds, bytes, and cells. In turns, so that the machine's moods are shared."""
    readers: dict[str, Reader] = {"JSON": _json, "Arrow": _arrow, "CSV": _csv}
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    sizes: dict[str, tuple[int, int]] = {}
    for _ in range(rounds + 1):
        for name, read in readers.items():
            began = time.monotonic()
            frame, size_bytes = read(client, sql)
            seconds[name].append(time.monotonic() - began)
            sizes[name] = size_bytes, frame.size
    return {name: (float(np.median(taken[1:])), *sizes[name]) for name, taken in seconds.items()}


def _json(client: httpx.Client, sql: str) -> tuple[pd.DataFrame, int]:
    """As kylinpy and pandas do: texts, made into numbers and times by the columns' types."""
    answer = client.post("/kylin/api/query", json={"sql": sql, "project": "gradcube", "limit": 50_000})
    found = json.loads(answer.raise_for_status().content)
    names = [column["label"] for column in found["columnMetas"]]
    frame = pd.DataFrame(found["results"], columns=names)
    for column in found["columnMetas"]:
        frame[column["label"]] = _typed(frame[column["label"]], column["columnTypeName"])
    return frame, len(answer.content)


def _typed(texts: "pd.Series[Any]", kind: str) -> "pd.Series[Any]":
    if kind in ("DOUBLE", "BIGINT", "INTEGER"):
        return pd.to_numeric(texts)
    return pd.to_datetime(texts) if kind in ("TIMESTAMP", "DATE") else texts


def _arrow(client: httpx.Client, sql: str) -> tuple[pd.DataFrame, int]:
    content = _own(client, sql, "application/vnd.apache.arrow.stream")
    with pa.ipc.open_stream(content) as stream:
        return stream.read_pandas(), len(content)


def _csv(client: httpx.Client, sql: str) -> tuple[pd.DataFrame, int]:
    content = _own(client, sql, "text/csv")
    return pd.read_csv(io.BytesIO(content), parse_dates=["TS"]), len(content)


def _own(client: httpx.Client, sql: str, accept: str) -> bytes:
    answer = client.post("/gradcube/v1/query", json={"sql": sql}, headers={"Accept": accept})
    return answer.raise_for_status().content


def _figure(name: str, found: dict[str, tuple[float, int, int]], rows: int) -> Figure:
    seconds, size_bytes, cells = found[name]
    json_seconds, json_bytes, json_cells = found["JSON"]
    assert cells == json_cells, f"{name} has {cells} cells, JSON {json_cells}"
    ratio = json_seconds / seconds
    return Figure(
        f"{cells / 1e6:.2f} M cells over HTTP as {name}", ratio, "x Kylin's JSON", "> 1", ratio > 1,
        f"{seconds:.2f} s against {json_seconds:.2f} s; {size_bytes / 1e6:.1f} MB against {json_bytes / 1e6:.1f} MB",
        {"rows": float(rows), "seconds": seconds, "json_seconds": json_seconds},
    )  # fmt: skip
