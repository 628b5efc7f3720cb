"""GET /live, /ready, /metrics, /status: open to all, they tell counts and reasons but no data."""

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gradcube.cube.store import COUNTERS
from gradcube_cube.gateway import Gateway
from gradcube_cube.status import status, unready

_GAUGES = {
    "rows": "rows held", "lag": "records not yet read", "segments": "files of the cube and its rollups",
    "freshness_seconds": "age of the newest row by its own time",
    "late": "rows that came after Kylin had closed their segment", "refused": "records that Kylin could not read",
}  # fmt: skip


def health_router(gateway: Gateway) -> APIRouter:
    """Ready means that every cube's topic is being read; queries are served in any case."""
    router = APIRouter()
    registry = CollectorRegistry()
    registry.register(_Counters(gateway))

    @router.get("/live")
    def live() -> dict[str, bool]:
        return {"live": True}

    @router.get("/ready")
    def ready() -> JSONResponse:
        reason = unready(gateway)
        checks = {f"ingest_{name}": one.state.reason is None for name, one in gateway.ingests.items()}
        if gateway.kylin is not None:
            checks["kylin"] = gateway.kylin.reason is None
        body = {"ready": reason is None, "checks": checks, "reason": reason}
        return JSONResponse(body, 200 if reason is None else 503)

    @router.get("/status")
    def tell() -> dict[str, Any]:
        return status(gateway)

    @router.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")

    return router


class _Counters(Collector):
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def collect(self) -> Iterator[Metric]:
        told = status(self._gateway)
        for name in COUNTERS:
            counter = CounterMetricFamily(f"gradcube_cube_{name}", f"{name} since the cube was made", labels=["cube"])
            for cube, values in told["cubes"].items():
                if name in values:
                    counter.add_metric([cube], values[name])
            yield counter
        for name, text in _GAUGES.items():
            gauge = GaugeMetricFamily(f"gradcube_cube_{name}", text, labels=["cube"])
            for cube, values in told["cubes"].items():
                if values.get(name) is not None:
                    gauge.add_metric([cube], values[name])
            yield gauge
        yield GaugeMetricFamily("gradcube_cube_ready", "1 while all topics are read", float(told["reason"] is None))
        yield from self._queries(told["queries"])

    def _queries(self, told: dict[str, Any]) -> Iterator[Metric]:
        yield GaugeMetricFamily("gradcube_cube_queries_running", "statements that run", told["running"])
        yield GaugeMetricFamily("gradcube_cube_queries_waiting", "statements that wait", told["waiting"])
        yield CounterMetricFamily("gradcube_cube_query_processes_replaced", "query processes lost", told["replaced"])

    def describe(self) -> list[Metric]:
        return []
