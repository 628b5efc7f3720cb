"""A coordinator on a real port in this process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import uvicorn
from tests.waiting import wait_until

from gradcube_coordinator.app import Coordinator, build_app
from gradcube_coordinator.membership import JobRegistry

_ids = count()


def new_registry(lease_seconds: float) -> JobRegistry:
    return JobRegistry(lease_seconds=lease_seconds, new_id=lambda: f"lease-{next(_ids)}")


@contextmanager
def serve(coordinator: Coordinator, port: int = 0) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(build_app(coordinator), port=port, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started, 10, "the coordinator serves")
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def serve_coordinator(port: int = 0, lease_seconds: float = 1) -> Iterator[str]:
    with serve(Coordinator(new_registry(lease_seconds), lambda events: None), port) as url:
        yield url
