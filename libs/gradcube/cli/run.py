"""One training run on local services: its parameter server and its workers, shared by `train` and `demo`."""

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx

from gradcube.cli import processes
from gradcube.cli.processes import LocalProcess, ServiceFailed
from gradcube.cli.state import LocalState
from gradcube.ports import choose_port

STALL_SECONDS = 120


@dataclass(frozen=True)
class RunSettings:
    """One training run: `RunSettings(job="demo", workers=4, steps=200, seed=0)`. `options`: more GRADCUBE_TRAINER_*."""

    job: str
    workers: int
    steps: int
    seed: int
    data: Path | None = None
    options: Mapping[str, str] = field(default_factory=dict)


class LocalRun:
    """Processes of one run. `with_parent` ends them when we die, however we die."""

    def __init__(self, services: LocalState, settings: RunSettings, *, with_parent: bool = True) -> None:
        self._services = services
        self._settings = settings
        self._with_parent = with_parent
        self._folder = Path(services.home) / "runs" / settings.job
        self._children: dict[str, Popen[bytes]] = {}
        self.processes: list[LocalProcess] = []

    def start(self) -> None:
        """The parameter server, then the workers as ranks 0 to workers - 1."""
        self._start_server()
        for rank in range(self._settings.workers):
            self._start_trainer(rank)

    def trainer(self, rank: int) -> LocalProcess:
        """The process of `rank`."""
        return next(process for process in self.processes if process.name == f"trainer-{rank}")

    def finished(self) -> bool:
        """Whether every worker has ended. Raises ServiceFailed when one of the run's processes ended badly."""
        self.raise_for_failures()
        return all(child.poll() is not None for name, child in self._children.items() if name != "paramserver")

    def raise_for_failures(self) -> None:
        """Raises ServiceFailed, with the log's end, for a process that ended with anything but 0."""
        for process in self.processes:
            code = self._children[process.name].poll()
            if code not in (None, 0):
                raise ServiceFailed(f"{process.name} ended with {code}: {processes.log_tail(process)}")

    def steps_done(self) -> int:
        """Steps that every live worker has finished; all of them when the run has ended."""
        answer = httpx.get(f"{self._services.coordinator}/v1/jobs/{self._settings.job}", timeout=5)
        if answer.status_code == 404:
            return 0
        view = answer.raise_for_status().json()
        if view["state"] == "finished":
            return self._settings.steps
        return min((int(member["step"]) for member in view["members"]), default=0)

    def wait_for_step(self, step: int) -> None:
        """Until `step` steps are done. Raises ServiceFailed when a process ends badly or nothing moves."""
        last, moved_at = -1, time.monotonic()
        while (now := self.steps_done()) < step and not self.finished():
            if now > last:
                last, moved_at = now, time.monotonic()
            if time.monotonic() - moved_at > STALL_SECONDS:
                raise ServiceFailed(f"training stands still at step {now}; logs in {self._folder}")
            time.sleep(0.2)

    def wait(self) -> None:
        """Until every worker has ended well."""
        self.wait_for_step(self._settings.steps)
        while not self.finished():
            time.sleep(0.1)

    def summaries(self) -> list[dict[str, Any]]:
        """What each worker wrote of itself at its end."""
        return [json.loads(self._summary_file(rank).read_text()) for rank in range(self._settings.workers)]

    def _summary_file(self, rank: int) -> Path:
        return self._folder / "summaries" / f"{rank}.json"

    def _start_server(self) -> None:
        port = choose_port()
        env = {
            "PORT": str(port),
            "JOB": self._settings.job,
            "COORDINATOR_URL": self._services.coordinator,
            "CHECKPOINT_DIR": str(self._folder / "checkpoints"),
        }
        self._spawn("paramserver", env, address=f"127.0.0.1:{port}")

    def _start_trainer(self, rank: int) -> None:
        run = self._settings
        summary = self._summary_file(rank)
        summary.parent.mkdir(parents=True, exist_ok=True)
        summary.unlink(missing_ok=True)
        env = {
            "JOB": run.job,
            "RANK": str(rank),
            "WORLD_SIZE": str(run.workers),
            "STEPS": str(run.steps),
            "SEED": str(run.seed),
            "COORDINATOR_URL": self._services.coordinator,
            "CACHE_DIR": str(Path(self._services.home) / "cache"),
            "SUMMARY_FILE": str(summary),
            **({"DATA_DIR": str(run.data.resolve())} if run.data else {}),
            **run.options,
        }
        self._spawn(f"trainer-{rank}", env)

    def _spawn(self, name: str, env: Mapping[str, str], *, address: str = "") -> None:
        service = name.partition("-")[0]
        shared = {
            "GRADCUBE_KAFKA_BOOTSTRAP": self._services.bootstrap,
            "GRADCUBE_LOG_FORMAT": "json",
            "OMP_NUM_THREADS": "1",
        }
        process, child = processes.start(
            name,
            [sys.executable, "-m", f"gradcube_{service}"],
            env={**shared, **{f"GRADCUBE_{service.upper()}_{key}": value for key, value in env.items()}},
            log=self._folder / "logs" / f"{name}.log",
            with_parent=self._with_parent,
            address=address,
            health=f"http://{address}" if address else "",
        )
        self.processes.append(process)
        self._children[name] = child
