"""The local services: what is started, in which order, with which settings, and how all of it ends.

`up` and `demo` share this. One broker; coordinator, agent, metrics and gateway beside it; a parameter server and
trainers per training run. Everything listens on 127.0.0.1.
"""

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

from gradcube.bus.local_broker import LocalBroker
from gradcube.bus.topics import apply_topics, load_topics
from gradcube.cli import processes, state
from gradcube.cli.ports import choose_port
from gradcube.cli.processes import LocalProcess, ServiceFailed
from gradcube.settings import KafkaSettings

BROKER_PORT = 9092
GATEWAY_PORT = 7070
READY_SECONDS = 90
Report = Callable[[str], None]


@dataclass(frozen=True)
class RunSettings:
    """One training run: `RunSettings(job="demo", workers=4, steps=200)`. `options` are GRADCUBE_TRAINER_* values."""

    job: str
    workers: int
    steps: int
    seed: int
    data: Path | None = None
    options: Mapping[str, str] = field(default_factory=dict)


class Stack:
    """The local services below `home`. `with_parent` ties their life to ours (the demo); without it they stay (up)."""

    def __init__(self, home: Path, *, with_parent: bool, metrics: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.with_parent = with_parent
        self.processes: list[LocalProcess] = []
        self.children: dict[str, Popen[bytes]] = {}
        self.broker = LocalBroker(home / "broker", port=choose_port(BROKER_PORT), outlive_parent=not with_parent)
        self.ports = {name: choose_port() for name in ("coordinator", "agent", "metrics")}
        self.ports["cube"] = choose_port(GATEWAY_PORT)
        self._metrics = dict(metrics or {})

    @property
    def kafka(self) -> KafkaSettings:
        """How to reach the broker."""
        return KafkaSettings.load(bootstrap=self.broker.bootstrap)

    @property
    def state(self) -> state.LocalState:
        """What `status`, `sql` and the others need to know."""
        return state.LocalState(
            home=str(self.home),
            bootstrap=self.broker.bootstrap,
            gateway=f"127.0.0.1:{self.ports['cube']}",
            coordinator=f"http://127.0.0.1:{self.ports['coordinator']}",
            metrics=f"http://127.0.0.1:{self.ports['metrics']}",
            password_file=str(self.home / "password"),
            processes=list(self.processes),
        )

    def start(self, report: Report) -> None:
        """Broker, topics, then the services side by side, until all are ready. Raises ServiceFailed."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        report("broker")
        self.broker.start()
        log = self.home / "broker" / "kafka.log"
        self.processes.append(
            LocalProcess.of("broker", self.broker.pid, address=self.broker.bootstrap, health="", log=log)
        )
        report("topics")
        apply_topics(self.kafka, load_topics(), replication=1)
        services = [self._service(name) for name in ("coordinator", "agent", "metrics", "cube")]
        state.write(self.state)
        for service in services:
            report(service.name)
            processes.wait_ready(service, READY_SECONDS)
        state.write(self.state)

    def start_server(self, run: RunSettings) -> LocalProcess:
        """The parameter server of one run."""
        port = choose_port()
        env = {
            "GRADCUBE_PARAMSERVER_PORT": str(port),
            "GRADCUBE_PARAMSERVER_JOB": run.job,
            "GRADCUBE_PARAMSERVER_COORDINATOR_URL": self.state.coordinator,
            "GRADCUBE_PARAMSERVER_CHECKPOINT_DIR": str(self.home / "checkpoints" / run.job),
        }
        return self._spawn("paramserver", "gradcube_paramserver", env, port=port)

    def start_trainers(self, run: RunSettings) -> list[LocalProcess]:
        """The workers of one run, as ranks 0 to workers - 1."""
        return [self._trainer(run, rank) for rank in range(run.workers)]

    def wait_for_trainers(self, trainers: Sequence[LocalProcess]) -> None:
        """Raises ServiceFailed with the log's end if a trainer ended with anything but 0."""
        for trainer in trainers:
            code = self.children[trainer.name].wait()
            if code != 0:
                raise ServiceFailed(f"{trainer.name} ended with {code}: {processes.log_tail(trainer)}")

    def summary_file(self, rank: int) -> Path:
        """Where the trainer of `rank` writes what it did."""
        return self.home / "summaries" / f"{rank}.json"

    def stop(self) -> None:
        """Ends everything that was started, newest first, the broker last."""
        processes.stop([process for process in reversed(self.processes) if process.name != "broker"])
        self.broker.stop()

    def remove(self) -> None:
        """Deletes the folder; only after stop()."""
        shutil.rmtree(self.home, ignore_errors=True)

    def _service(self, name: str) -> LocalProcess:
        url = self.state.coordinator
        extra = {
            "coordinator": {},
            "agent": {"GRADCUBE_AGENT_COORDINATOR_URL": url},
            "metrics": {f"GRADCUBE_METRICS_{key.upper()}": value for key, value in self._metrics.items()},
            "cube": {
                "GRADCUBE_CUBE_DATABASE": str(self.home / "cube.duckdb"),
                "GRADCUBE_CUBE_PASSWORD_FILE": str(self.home / "password"),
            },
        }[name]
        port = self.ports[name]
        env = {f"GRADCUBE_{name.upper()}_HOST": "127.0.0.1", f"GRADCUBE_{name.upper()}_PORT": str(port), **extra}
        return self._spawn(name, f"gradcube_{name}", env, port=port)

    def _trainer(self, run: RunSettings, rank: int) -> LocalProcess:
        summary = self.summary_file(rank)
        summary.parent.mkdir(parents=True, exist_ok=True)
        env = {
            "JOB": run.job,
            "RANK": str(rank),
            "WORLD_SIZE": str(run.workers),
            "STEPS": str(run.steps),
            "SEED": str(run.seed),
            "COORDINATOR_URL": self.state.coordinator,
            "CACHE_DIR": str(self.home / "cache"),
            "SUMMARY_FILE": str(summary),
            **({"DATA_DIR": str(run.data)} if run.data else {}),
            **run.options,
        }
        return self._spawn(
            f"trainer-{rank}", "gradcube_trainer", {f"GRADCUBE_TRAINER_{key}": value for key, value in env.items()}
        )

    def _spawn(self, name: str, module: str, env: Mapping[str, str], *, port: int | None = None) -> LocalProcess:
        shared = {
            "GRADCUBE_KAFKA_BOOTSTRAP": self.broker.bootstrap,
            "GRADCUBE_LOG_FORMAT": "json",
            "OMP_NUM_THREADS": "1",
        }
        address = f"127.0.0.1:{port}" if port else ""
        process, child = processes.start(
            name,
            [sys.executable, "-m", module],
            env={**shared, **env},
            log=self.home / "logs" / f"{name}.log",
            with_parent=self.with_parent,
            address=address,
            health=f"http://{address}" if address else "",
        )
        self.processes.append(process)
        self.children[name] = child
        return process
