"""The parameter server around its shard: coordinator, checkpoints, records."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tests.unit.coordinator.serving import serve_coordinator
from tests.waiting import wait_until

from gradcube.errors import LeaseRefused, StaleVersion
from gradcube.events.codec import decode
from gradcube.sync.client import ParameterClient
from gradcube.sync.coordinator_client import CoordinatorClient
from gradcube.sync.coordinator_models import JobRequest
from gradcube.sync.heartbeat import HeartbeatThread
from gradcube_paramserver.app import ParameterServer
from gradcube_paramserver.settings import ParamserverSettings

REQUEST = JobRequest(
    job="bert", model="tiny", model_parameters=9, samples=8, global_batch_size=4, steps=5, seed=1, world_size=1
)


@dataclass
class Running:
    server: ParameterServer
    records: list[tuple[str, bytes, bytes]] = field(default_factory=list)


@contextmanager
def serve_shard(url: str, directory: Path | None, **changes: object) -> Iterator[Running]:
    records: list[tuple[str, bytes, bytes]] = []

    def offer(topic: str, key: bytes, value: bytes) -> bool:
        records.append((topic, key, value))
        return True

    settings = ParamserverSettings.load(
        job="bert",
        coordinator_url=url,
        optimizer="sgd",
        weight_decay=0,
        checkpoint_dir=directory,
        checkpoint_every=2,
        **changes,
    )
    server, stopped = ParameterServer(settings, offer), threading.Event()
    thread = threading.Thread(target=server.run, args=(stopped,))
    thread.start()
    try:
        yield Running(server, records)
    finally:
        stopped.set()
        thread.join()


@contextmanager
def worker(url: str) -> Iterator[tuple[CoordinatorClient, HeartbeatThread]]:
    with CoordinatorClient(url) as coordinator:
        coordinator.create_job(REQUEST)
        membership = coordinator.join("bert", node="a", pid=1)
        heartbeats = HeartbeatThread(coordinator, REQUEST, membership, node="a", pid=1)
        heartbeats.start()
        try:
            wait_until(lambda: coordinator.assignment("bert").ready, 10, "the job is ready")
            yield coordinator, heartbeats
        finally:
            heartbeats.stop(finished=True)


def steps(client: ParameterClient, coordinator: CoordinatorClient, first: int, last: int) -> None:
    for version in range(first, last):
        epoch = coordinator.assignment("bert").epoch
        client.push(np.ones(9, np.float32), version=version, epoch=epoch, weight=1, learning_rate=0.1)


def test_a_job_trains_reports_and_writes_checkpoints(tmp_path: Path) -> None:
    with serve_coordinator() as url, serve_shard(url, tmp_path) as running, worker(url) as (coordinator, _):
        client = ParameterClient([running.server.address], rank=0, timeout_seconds=10)
        client.initialize(np.zeros(9, np.float32))
        steps(client, coordinator, 0, 5)
        client.close()
        wait_until(lambda: running.server.status()["checkpoint_version"] == 4, 5, "a checkpoint")
        status = running.server.status()
        assert (status["version"], status["applied"], status["skipped"], status["pushes"]) == (5, 5, 0, 5)
        records = [decode(value)[1] for _, _, value in running.records]
        assert [record["version"] for record in records] == [1, 2, 3, 4, 5]
        assert running.records[0][:2] == ("gradcube.server-syncs", b"bert/0")
        assert (records[0]["rank"], records[0]["bytes"], records[0]["dropped"]) == ([0], [36], [False])
    assert len(list((tmp_path / "bert").glob("*.safetensors"))) == 2  # the last one at the end, and one before


def test_a_shard_behind_its_worker_says_stale_and_training_goes_on_from_there(tmp_path: Path) -> None:
    with serve_coordinator() as url, serve_shard(url, tmp_path) as first, worker(url) as (coordinator, _):
        client = ParameterClient([first.server.address], rank=0, timeout_seconds=10)
        client.initialize(np.zeros(9, np.float32))
        steps(client, coordinator, 0, 4)
        port = int(first.server.address.split(":")[1])
        wait_until(lambda: first.server.status()["checkpoint_version"] == 4, 5, "checkpoint of 4")
        expected = client.get()[1].copy()
        steps(client, coordinator, 4, 5)
        # As kill -9 would leave it: version 5 is not on disk.
        first.server._checkpointer = None
        stop_early(first)
        with serve_shard(url, tmp_path, data_port=port) as second:
            wait_until(lambda: second.server.shard.membership.ranks == (0,), 10, "the shard knows its rank")
            with pytest.raises(StaleVersion, match=r"version 5, shards are at \[4\]"):
                steps(client, coordinator, 5, 6)
            version, parameters = client.get()
            assert version == 4
            assert np.array_equal(parameters, expected)
            steps(client, coordinator, 4, 6)
            assert second.server.shard.version == 6
        client.close()


def stop_early(running: Running) -> None:
    running.server._server.close()
    running.server._registration.close()
    running.server._registration.close = lambda: None  # type: ignore[method-assign]
    running.server._server.close = lambda: None  # type: ignore[method-assign]


def test_training_goes_on_when_the_coordinator_restarts_without_memory() -> None:
    with serve_coordinator() as url:
        port = int(url.rsplit(":", 1)[1])
    with serve_shard(url, None) as running:
        with serve_coordinator(port):
            coordinator = CoordinatorClient(url, retry_seconds=0)
            coordinator.create_job(REQUEST)
            membership = coordinator.join("bert", node="a", pid=1)
            heartbeats = HeartbeatThread(coordinator, REQUEST, membership, node="a", pid=1)
            heartbeats.start()
            wait_until(lambda: coordinator.assignment("bert").ready, 10, "ready")
            client = ParameterClient([running.server.address], rank=0, timeout_seconds=10)
            client.initialize(np.zeros(9, np.float32))
            steps(client, coordinator, 0, 2)
            epoch = running.server.shard.membership.epoch
        # nobody coordinates: the shard goes on with what it knows
        client.push(np.ones(9, np.float32), version=2, epoch=epoch, weight=1, learning_rate=0.1)
        with serve_coordinator(port):
            wait_until(partial(ready_again, coordinator), 20, "all came back")
            wait_until(lambda: running.server.shard.membership.epoch > epoch, 10, "a newer epoch")
            assert coordinator.job("bert").attempt == 1
            steps(client, coordinator, 3, 4)
            assert running.server.shard.version == 4
            heartbeats.stop(finished=True)
        client.close()
        coordinator.close()


def ready_again(coordinator: CoordinatorClient) -> bool:
    return any(job.job == "bert" and job.state == "running" for job in coordinator.jobs())


def test_a_worker_whose_rank_was_taken_meanwhile_is_told_to_stop() -> None:
    with serve_coordinator() as url, serve_shard(url, None), CoordinatorClient(url) as coordinator:
        coordinator.create_job(REQUEST)
        sleeper = HeartbeatThread(coordinator, REQUEST, coordinator.join("bert", node="a", pid=1), node="a", pid=1)
        wait_until(lambda: not coordinator.members(), 10, "the sleeper is lost")
        with worker(url):
            sleeper.start()
            wait_until(lambda: refused(sleeper), 10, "the sleeper is refused")
            sleeper.stop(finished=False)


def refused(heartbeats: HeartbeatThread) -> bool:
    try:
        heartbeats.check()
    except LeaseRefused:
        return True
    return False


def test_a_finished_job_that_starts_again_begins_with_new_parameters(tmp_path: Path) -> None:
    with serve_coordinator() as url, serve_shard(url, tmp_path) as running:
        for start in (0.0, 7.0):
            with worker(url) as (coordinator, _):
                client = ParameterClient([running.server.address], rank=0, timeout_seconds=10)
                version, parameters = client.initialize(np.full(9, start, np.float32))
                assert (version, parameters[0]) == (0, start)
                steps(client, coordinator, 0, 2)
                client.close()


def test_a_full_disk_is_counted_and_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gradcube.sync.checkpoints.save_file", full)
    with serve_coordinator() as url, serve_shard(url, tmp_path) as running, worker(url) as (coordinator, _):
        client = ParameterClient([running.server.address], rank=0, timeout_seconds=10)
        client.initialize(np.zeros(9, np.float32))
        steps(client, coordinator, 0, 5)
        client.close()
        wait_until(lambda: running.server.status()["checkpoint_failures"] >= 1, 5, "a failure is counted")
        assert running.server.status()["version"] == 5
    assert list((tmp_path / "bert").iterdir()) == []
