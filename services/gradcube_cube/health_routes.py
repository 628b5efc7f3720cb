"""GET /live, /ready, /metrics, /status: open to all, they tell counts and reasons but no data."""

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gradcube.cube.engine import COUNTERS
from gradcube_cube.gateway import Gateway


def health_router(gateway: Gateway) -> APIRouter:
    """Ready means that facts are being read; queries are served in any case."""
    router = APIRouter()
    registry = CollectorRegistry()
    registry.register(_Counters(gateway))

    @router.get("/live")
    def live() -> dict[str, bool]:
        return {"live": True}

    @router.get("/ready")
    def ready() -> JSONResponse:
        reason = gateway.ingest.state.reason
        body = {"ready": reason is None, "checks": {"ingest": reason is None}, "reason": reason}
        return JSONResponse(body, 200 if reason is None else 503)

    @router.get("/status")
    def status() -> dict[str, Any]:
        return gateway.status()

    @router.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")

    return router


class _Counters(Collector):
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def collect(self) -> Iterator[Metric]:
        status = self._gateway.status()
        for name in COUNTERS:
            yield CounterMetricFamily(f"gradcube_cube_{name}", f"{name} since the database was made", status[name])
        yield GaugeMetricFamily("gradcube_cube_rows", "facts held", status["rows"])
        yield GaugeMetricFamily("gradcube_cube_ready", "1 while facts are read", float(status["reason"] is None))
        if status["lag"] is not None:
            yield GaugeMetricFamily("gradcube_cube_lag", "records not yet read", status["lag"])

    def describe(self) -> list[Metric]:
        return []
