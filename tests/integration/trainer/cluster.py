"""A job on real parts: the coordinator's process, a shard of the parameter server here, worker processes."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.waiting import wait_until

from gradcube.sync.checkpoints import ShardIdentity
from gradcube.sync.coordinator_client import CoordinatorClient
from gradcube.sync.coordinator_models import ServerHeartbeat, ServerRequest
from gradcube.sync.optimizers import AdamW
from gradcube.sync.server import ShardServer
from gradcube.sync.shard import Shard, ShardMembership
from gradcube.sync.transport import TcpListener
from gradcube_trainer.settings import TrainerSettings

WORKER = "tests.integration.trainer.traced_worker"
ROOT = Path(__file__).parents[3]


class Cluster:
    """Coordinator and one shard for `job`; `worker` starts trainers. Everything ends with `close`."""

    def __init__(self, directory: Path, settings: TrainerSettings, port: int) -> None:
        self.directory, self.settings, self.port = directory, settings, port
        self._processes: list[subprocess.Popen[bytes]] = []
        self._closed = threading.Event()
        self._start("gradcube_coordinator", {"GRADCUBE_COORDINATOR_PORT": str(port)}, "coordinator")
        self.client = CoordinatorClient(f"http://127.0.0.1:{port}", retry_seconds=20)
        self.shard = Shard(ShardIdentity(settings.job, 0, 1), lambda: AdamW(weight_decay=0.01))
        listener = TcpListener("127.0.0.1", 0)
        self._server = ShardServer(self.shard, listener, max_parameters=10**6)
        self._server.start()
        request = ServerRequest(shard=0, shards=1, address=f"127.0.0.1:{listener.port}", node="here")
        self._lease = self.client.register_server(settings.job, request).lease_id
        self._thread = threading.Thread(target=self._beat)
        self._thread.start()

    def worker(self, name: str, extra: Mapping[str, str] | None = None) -> "WorkerProcess":
        """Starts a trainer; `extra` are more environment variables."""
        settings = self.settings.model_dump(mode="json", exclude_none=True, exclude={"port", "host"})
        environment = {f"GRADCUBE_TRAINER_{key.upper()}": str(value) for key, value in settings.items()}
        environment["GRADCUBE_TRAINER_SUMMARY_FILE"] = str(self.directory / f"{name}.json")
        environment["TRACE"] = str(self.directory / f"{name}.trace")
        return WorkerProcess(self.directory, name, self._start(WORKER, {**environment, **(extra or {})}, name))

    def close(self) -> None:
        """Ends every process that was started, and the shard."""
        self._closed.set()
        self._thread.join()
        self._server.close()
        self.client.close()
        for process in self._processes:
            process.kill()
            process.wait()

    def _start(self, module: str, environment: Mapping[str, str], name: str) -> "subprocess.Popen[bytes]":
        own = {"OMP_NUM_THREADS": "1", "GRADCUBE_KAFKA_BOOTSTRAP": "127.0.0.1:9"}
        with (self.directory / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module],
                env={**os.environ, **own, **environment},
                cwd=ROOT,
                stderr=log,
                stdout=log,
            )
        self._processes.append(process)
        return process

    def _beat(self) -> None:
        while not self._closed.wait(0.2):
            beat = ServerHeartbeat(version=self.shard.version, attempt=self.shard.membership.attempt)
            answer = self.client.server_heartbeat(self.settings.job, self._lease, beat)
            self.shard.set_membership(
                ShardMembership(answer.epoch, tuple(answer.ranks), answer.attempt, answer.fresh_since)
            )


class WorkerProcess:
    """A trainer and the files it writes."""

    def __init__(self, directory: Path, name: str, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self._path = directory / name

    @property
    def log(self) -> str:
        return self._path.with_suffix(".log").read_text()

    @property
    def summary(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._path.with_suffix(".json").read_text())
        return answer

    @property
    def trace(self) -> list[tuple[int, float, int]]:
        """(version, loss, predicted tokens) of each step that was applied."""
        path = self._path.with_suffix(".trace")
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(step), float(loss), int(weight)) for step, loss, weight in map(str.split, lines)]

    @property
    def hangs(self) -> bool:
        return self._path.with_suffix(".hangs").exists()

    def wait_for(self, condition: Callable[["WorkerProcess"], bool], what: str) -> None:
        """Waits for `condition`, or fails at once with the log when the process has ended."""
        wait_until(lambda: condition(self) or self.process.poll() is not None, 60, what)
        assert condition(self), f"{what}: ended with {self.process.returncode}\n{self.log}"

    def join(self) -> int:
        """The exit code."""
        return self.process.wait(60)
