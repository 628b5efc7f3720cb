"""The coordinator's HTTP routes: typed bodies in and out, one lock, and the rules of `membership`."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from gradcube.errors import CoordinatorError, LeaseRefused
from gradcube.sync.coordinator_models import (
    Assignment,
    CommandView,
    Heartbeat,
    HeartbeatAnswer,
    JobRequest,
    JobView,
    JoinRequest,
    MemberAddress,
    Membership,
    Name,
    ServerAnswer,
    ServerHeartbeat,
    ServerLease,
    ServerRequest,
)
from gradcube_coordinator import views
from gradcube_coordinator.jobs import Event
from gradcube_coordinator.membership import JobRegistry, LeaseEnded, UnknownJob


class Coordinator:
    """The registry with its lock and clock; `publish` gets the events of each change, outside the lock's work."""

    def __init__(
        self,
        registry: JobRegistry,
        publish: Callable[[list[Event]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.registry, self._publish, self._clock = registry, publish, clock
        self._lock = threading.Lock()

    def do(self, change: Callable[[JobRegistry, float], Any]) -> Any:
        """The answer of `change(registry, now)`."""
        with self._lock:
            try:
                return change(self.registry, self._clock())
            finally:
                # Within the lock, so that events leave in their order; publishing never blocks.
                self._publish(self.registry.take_events())

    def command(self, job: str, command: CommandView) -> int:
        """Lays a command ready for the job's workers; their number."""
        return int(self.do(lambda registry, _: registry.command(job, command)))


def build_app(coordinator: Coordinator) -> FastAPI:
    """The application; every second it ends the leases that ran out even when nobody calls."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(_expire(coordinator))
        yield
        task.cancel()

    app = FastAPI(title="gradcube coordinator", version="1", lifespan=lifespan)
    app.add_exception_handler(CoordinatorError, _refuse)
    _add_jobs(app, coordinator)
    _add_members(app, coordinator)
    _add_servers(app, coordinator)
    _add_health(app, coordinator)
    return app


async def _expire(coordinator: Coordinator) -> None:
    while True:
        coordinator.do(lambda registry, now: registry.expire(now))
        await asyncio.sleep(min(coordinator.registry.lease_seconds / 4, 1))


async def _refuse(_: Request, error: Exception) -> JSONResponse:
    statuses: dict[type[Exception], int] = {LeaseRefused: 409, UnknownJob: 404, LeaseEnded: 410}
    return JSONResponse({"detail": str(error)}, status_code=statuses.get(type(error), 400))


def _add_jobs(app: FastAPI, coordinator: Coordinator) -> None:
    @app.post("/v1/jobs")
    def create_job(request: JobRequest) -> JobView:
        """Makes the job, joins the same one, or starts the next attempt of one that has ended."""
        return coordinator.do(lambda r, now: views.job_view(r.create(request, now), now))  # type: ignore[no-any-return]

    @app.get("/v1/jobs")
    def list_jobs() -> list[JobView]:
        """All jobs."""
        return coordinator.do(views.job_views)  # type: ignore[no-any-return]

    @app.get("/v1/jobs/{job}")
    def get_job(job: Name) -> JobView:
        """One job."""
        return coordinator.do(lambda r, now: views.job_view(r.job(job, now), now))  # type: ignore[no-any-return]

    @app.get("/v1/jobs/{job}/assignment")
    def get_assignment(job: Name) -> Assignment:
        """Who trains now, and where the shards are; member i of n takes the samples i::n of a batch."""
        return coordinator.do(lambda r, now: views.assignment(r.job(job, now)))  # type: ignore[no-any-return]

    @app.get("/v1/members")
    def list_members(node: str | None = None) -> list[MemberAddress]:
        """The live workers, of all nodes or of one."""
        return coordinator.do(lambda r, now: views.members(r, now, node))  # type: ignore[no-any-return]


def _add_members(app: FastAPI, coordinator: Coordinator) -> None:
    @app.post("/v1/jobs/{job}/members")
    def join(job: Name, request: JoinRequest) -> Membership:
        """A lease on a rank; 409 says who holds it."""

        def change(registry: JobRegistry, now: float) -> Membership:
            member = registry.join(job, request, now)
            return views.membership(registry, registry.jobs[job], member)

        return coordinator.do(change)  # type: ignore[no-any-return]

    @app.put("/v1/jobs/{job}/members/{lease_id}")
    def heartbeat(job: Name, lease_id: str, beat: Heartbeat) -> HeartbeatAnswer:
        """Renews the lease; 410 when it has ended: stop or join again."""

        def change(registry: JobRegistry, now: float) -> HeartbeatAnswer:
            found, commands = registry.heartbeat(job, lease_id, beat.step, now)
            return HeartbeatAnswer(epoch=found.epoch, commands=commands)

        return coordinator.do(change)  # type: ignore[no-any-return]

    @app.delete("/v1/jobs/{job}/members/{lease_id}", status_code=204)
    def leave(job: Name, lease_id: str, finished: bool = False) -> None:
        """Gives the lease back."""
        coordinator.do(lambda r, now: r.leave(job, lease_id, finished=finished, now=now))


def _add_servers(app: FastAPI, coordinator: Coordinator) -> None:
    @app.post("/v1/jobs/{job}/servers")
    def register(job: Name, request: ServerRequest) -> ServerLease:
        """A lease on a shard; 409 says who holds it."""

        def change(registry: JobRegistry, now: float) -> ServerLease:
            found, server = registry.register_server(job, request, now)
            return views.server_lease(registry, found, server)

        return coordinator.do(change)  # type: ignore[no-any-return]

    @app.put("/v1/jobs/{job}/servers/{lease_id}")
    def beat(job: Name, lease_id: str, beat: ServerHeartbeat) -> ServerAnswer:
        """Renews the lease; the answer is whom the shard aggregates over."""

        def change(registry: JobRegistry, now: float) -> ServerAnswer:
            found = registry.server_heartbeat(job, lease_id, beat, now)
            return views.server_answer(found)

        return coordinator.do(change)  # type: ignore[no-any-return]

    @app.delete("/v1/jobs/{job}/servers/{lease_id}", status_code=204)
    def leave(job: Name, lease_id: str) -> None:
        """Gives the lease back."""
        coordinator.do(lambda r, now: r.leave_server(job, lease_id, now))


def _add_health(app: FastAPI, coordinator: Coordinator) -> None:
    metrics = CollectorRegistry()
    jobs = Gauge("gradcube_coordinator_jobs", "Jobs known.", registry=metrics)
    jobs.set_function(lambda: len(coordinator.registry.jobs))
    workers = Gauge("gradcube_coordinator_members", "Live workers of all jobs.", registry=metrics)
    workers.set_function(lambda: sum(len(job.members) for job in list(coordinator.registry.jobs.values())))

    @app.get("/live")
    def live() -> dict[str, bool]:
        """The process answers."""
        return {"live": True}

    @app.get("/ready")
    def ready() -> dict[str, Any]:
        """State is in memory: who answers is ready."""
        return {"ready": True, "checks": {}}

    @app.get("/status")
    def status() -> dict[str, Any]:
        """Counters."""
        return coordinator.do(views.status)  # type: ignore[no-any-return]

    @app.get("/metrics")
    def prometheus() -> Response:
        """Prometheus text."""
        return Response(generate_latest(metrics), media_type="text/plain; version=0.0.4")
