"""Real processes: a parameter server and workers that are killed with SIGKILL in the middle of a step."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from tests.unit.coordinator.serving import serve_coordinator
from tests.waiting import wait_until

from gradcube.errors import MembershipChanged, StaleVersion
from gradcube.sync.client import ParameterClient
from gradcube.sync.coordinator_client import CoordinatorClient
from gradcube.sync.coordinator_models import JobRequest
from gradcube.sync.heartbeat import HeartbeatThread

SHARD = """
import signal, sys, threading
from gradcube_paramserver.app import ParameterServer
from gradcube_paramserver.settings import ParamserverSettings
stopped = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stopped.set())
ParameterServer(ParamserverSettings.load(), lambda *_: True).run(stopped)
"""
WORKER = """
import os, sys, numpy
from gradcube.sync.coordinator_client import CoordinatorClient
from gradcube.sync.coordinator_models import JobRequest
from gradcube.sync.heartbeat import HeartbeatThread
coordinator = CoordinatorClient(sys.argv[1])
request = JobRequest.model_validate_json(sys.argv[2])
coordinator.create_job(request)
HeartbeatThread(coordinator, request, coordinator.join("bert", node="a", pid=os.getpid()), node="a", pid=0).start()
sys.stdin.read()
"""
SIZE = 31


def description(world_size: int) -> JobRequest:
    body = {"model": "tiny", "model_parameters": SIZE, "samples": 8, "global_batch_size": 4, "steps": 99}
    return JobRequest.model_validate(body | {"job": "bert", "seed": 1, "world_size": world_size})


@contextmanager
def process(arguments: list[str], **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    made = subprocess.Popen([sys.executable, "-c", *arguments], env=os.environ | environment, stdin=subprocess.PIPE)
    try:
        yield made
    finally:
        made.kill()
        made.wait()
        assert made.stdin is not None
        made.stdin.close()


@contextmanager
def shard(url: str, number: int, shards: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    settings = {
        "JOB": "bert",
        "SHARD": str(number),
        "SHARDS": str(shards),
        "COORDINATOR_URL": url,
        "OPTIMIZER": "sgd",
        "WEIGHT_DECAY": "0",
        "CHECKPOINT_DIR": str(folder),
        "CHECKPOINT_EVERY": "2",
    }
    with process([SHARD], **{f"GRADCUBE_PARAMSERVER_{name}": value for name, value in settings.items()}) as made:
        yield made


class Trainer:
    """A worker in this process, against shards and coordinator in others."""

    def __init__(self, url: str, world_size: int) -> None:
        request = description(world_size)
        self.coordinator = CoordinatorClient(url)
        self.coordinator.create_job(request)
        membership = self.coordinator.join("bert", node="a", pid=os.getpid())
        self.heartbeats = HeartbeatThread(self.coordinator, request, membership, node="a", pid=os.getpid())
        self.heartbeats.start()
        wait_until(lambda: self.coordinator.assignment("bert").ready, 30, "the job is ready")
        self.client = ParameterClient(self.addresses(), rank=membership.rank, timeout_seconds=30, locate=self.addresses)
        self.version, self.parameters = self.client.initialize(np.zeros(SIZE, np.float32))

    def addresses(self) -> list[str]:
        servers = self.coordinator.assignment("bert").servers
        return [server.address for server in sorted(servers, key=lambda server: server.shard)]

    def step(self) -> None:
        epoch = self.coordinator.assignment("bert").epoch
        gradient = np.full(SIZE, self.version + 1, np.float32)
        result = self.client.push(gradient, version=self.version, epoch=epoch, weight=1, learning_rate=1)
        self.version, self.parameters = result.version, result.parameters

    def close(self) -> None:
        self.client.close()
        self.heartbeats.stop(finished=True)
        self.coordinator.close()


def weights(version: int) -> np.ndarray:
    """Where SGD with momentum 0.9 is after `version` steps with gradients 1, 2, 3 ..."""
    value = velocity = 0.0
    for step in range(version):
        velocity = 0.9 * velocity + step + 1
        value -= velocity
    return np.full(SIZE, value, np.float32)


def checkpoint(folder: Path, number: int, shards: int, version: int) -> bool:
    return (folder / "bert" / f"shard-{number:05d}-of-{shards:05d}-v{version:012d}.safetensors").exists()


@pytest.mark.parametrize("shards", [1, 2])
def test_a_server_killed_with_sigkill_goes_on_from_its_checkpoint_exactly(tmp_path: Path, shards: int) -> None:
    with serve_coordinator(lease_seconds=2) as url, shard(url, 0, shards, tmp_path) as victim:
        others = [shard(url, number, shards, tmp_path) for number in range(1, shards)]
        for other in others:
            other.__enter__()
        trainer = Trainer(url, 1)
        for _ in range(5):
            trainer.step()
        assert trainer.version == 5
        wait_until(lambda: all(checkpoint(tmp_path, n, shards, 4) for n in range(shards)), 10, "checkpoints")
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        wait_until(lambda: len(trainer.addresses()) == shards - 1, 10, "the shard's lease ends")
        with shard(url, 0, shards, tmp_path):
            wait_until(lambda: len(trainer.addresses()) == shards, 30, "the shard is back")
            with pytest.raises(StaleVersion):
                trainer.step()
            trainer.version, trainer.parameters = trainer.client.get()
            assert trainer.version == 4
            np.testing.assert_allclose(trainer.parameters, weights(4), rtol=1e-6)
            for _ in range(4):
                trainer.step()
            np.testing.assert_allclose(trainer.parameters, weights(8), rtol=1e-6)
            trainer.close()
        for other in others:
            other.__exit__(None, None, None)


def test_a_worker_killed_with_sigkill_in_the_middle_of_a_step_does_not_stop_the_others(tmp_path: Path) -> None:
    with (
        serve_coordinator(lease_seconds=2) as url,
        shard(url, 0, 1, tmp_path),
        process([WORKER, url, description(2).model_dump_json()]) as victim,
    ):
        trainer = Trainer(url, 2)
        wait_until(lambda: len(trainer.coordinator.assignment("bert").ranks) == 2, 10, "both are there")
        victim.send_signal(signal.SIGKILL)
        with pytest.raises(MembershipChanged):
            trainer.step()  # waits for the dead one's push until its lease ends
        assert trainer.coordinator.assignment("bert").ranks == [trainer.heartbeats.membership.rank]
        trainer.step()
        np.testing.assert_allclose(trainer.parameters, weights(1))
        trainer.close()


def test_sigterm_ends_the_server_with_exit_code_0_and_a_last_checkpoint(tmp_path: Path) -> None:
    with serve_coordinator(lease_seconds=2) as url, shard(url, 0, 1, tmp_path) as server:
        trainer = Trainer(url, 1)
        trainer.step()
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
        assert checkpoint(tmp_path, 0, 1, 1)
        assert httpx.get(f"{url}/v1/jobs/bert").json()["servers"] == []
        trainer.close()
