"""The local services: what is started, in which order, with which settings, and how all of it ends.

`up` and `demo` share this: one broker; coordinator, agent, metrics and gateway beside it. A training run brings its own
parameter server and trainers (run.py). Everything listens on 127.0.0.1.
"""

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gradcube.bus.topics import apply_topics, load_topics
from gradcube.cli import processes, state
from gradcube.cli.processes import LocalProcess
from gradcube.ports import choose_port
from gradcube.settings import KafkaSettings

BROKER_PORT = 9092
GATEWAY_PORT = 7070
READY_SECONDS = 90
Report = Callable[[str], None]


class Stack:
    """The local services below `home`. `with_parent` ties their life to ours (the demo); without it they stay (up)."""

    def __init__(self, home: Path, *, with_parent: bool, metrics: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.with_parent = with_parent
        self.processes: list[LocalProcess] = []
        self.bootstrap = f"127.0.0.1:{choose_port(BROKER_PORT)}"
        self.ports = {name: choose_port() for name in ("broker", "coordinator", "agent", "metrics")}
        self.ports["cube"] = choose_port(GATEWAY_PORT)
        self._metrics = dict(metrics or {})
        self._gateway: dict[str, str] = {}
        self._with_topics: Callable[[KafkaSettings], None] | None = None

    def ask_elsewhere(self, gateway: Mapping[str, str], with_topics: Callable[[KafkaSettings], None]) -> None:
        """Before `start`: by these settings the gateway asks another engine, which is told when topics are there."""
        self._gateway, self._with_topics = dict(gateway), with_topics

    @property
    def kafka(self) -> KafkaSettings:
        """How to reach the broker."""
        return KafkaSettings.load(bootstrap=self.bootstrap)

    @property
    def state(self) -> state.LocalState:
        """What `status`, `sql` and the others need to know."""
        return state.LocalState(
            home=str(self.home),
            bootstrap=self.bootstrap,
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
        processes.wait_ready(self.start_broker(), READY_SECONDS)
        report("topics")
        apply_topics(self.kafka, load_topics(), replication=1)
        if self._with_topics is not None:
            self._with_topics(self.kafka)
        services = [self.start_service(name) for name in ("coordinator", "agent", "metrics", "cube")]
        state.write(self.state)
        for service in services:
            report(service.name)
            processes.wait_ready(service, READY_SECONDS)
        state.write(self.state)

    def start_broker(self) -> LocalProcess:
        """Starts the broker, or starts it again on its data after it was killed."""
        port = self.bootstrap.rpartition(":")[2]
        health = self.ports["broker"]
        command = ["-m", "gradcube.cli.broker", str(self.home / "broker"), port, str(health)]
        return self._spawn("broker", command, {}, address=self.bootstrap, health=f"http://127.0.0.1:{health}")

    def start_service(self, name: str) -> LocalProcess:
        """Starts coordinator, agent, metrics or cube, or starts it again at the same address."""
        url = self.state.coordinator
        extra = {
            "coordinator": {},
            "agent": {
                "GRADCUBE_AGENT_COORDINATOR_URL": url,
                "GRADCUBE_AGENT_PROBES": f"store={self.home.absolute()},gateway={self.state.gateway}",
            },
            "metrics": {f"GRADCUBE_METRICS_{key.upper()}": value for key, value in self._metrics.items()},
            "cube": {
                "GRADCUBE_CUBE_STORE": str(self.home / "cube"),
                "GRADCUBE_CUBE_PASSWORD_FILE": str(self.home / "password"),
                "GRADCUBE_CUBE_USERS_FILE": str(self.home / "users.json"),
                "GRADCUBE_CUBE_AUDIT_FILE": str(self.home / "audit" / "audit.jsonl"),
                "GRADCUBE_CUBE_AUDIT_KEY_FILE": str(self.home / "audit.key"),
                **self._gateway,
            },
        }[name]
        port = self.ports[name]
        env = {
            f"GRADCUBE_{name.upper()}_HOST": "127.0.0.1",
            f"GRADCUBE_{name.upper()}_PORT": str(port),
            **extra,
        }
        address = f"127.0.0.1:{port}"
        return self._spawn(name, ["-m", f"gradcube_{name}"], env, address=address, health=f"http://{address}")

    def stop(self) -> None:
        """Ends everything that was started, newest first, the broker last."""
        stop_in_order(self.processes)

    def remove(self) -> None:
        """Deletes the folder; only after stop()."""
        shutil.rmtree(self.home, ignore_errors=True)

    def _spawn(
        self, name: str, arguments: Sequence[str], env: Mapping[str, str], *, address: str, health: str
    ) -> LocalProcess:
        shared = {"GRADCUBE_KAFKA_BOOTSTRAP": self.bootstrap, "GRADCUBE_LOG_FORMAT": "json", "OMP_NUM_THREADS": "1"}
        process, _ = processes.start(
            name,
            [sys.executable, *arguments],
            env={**shared, **env},
            log=self.home / "logs" / f"{name}.log",
            with_parent=self.with_parent,
            address=address,
            health=health,
        )
        self.processes = [*(known for known in self.processes if known.name != name), process]
        return process


def stop_in_order(running: Sequence[LocalProcess]) -> list[LocalProcess]:
    """Ends the services, then the broker that they write to. Returns those that had to be killed."""
    killed = processes.stop([process for process in reversed(running) if process.name != "broker"])
    return killed + processes.stop([process for process in running if process.name == "broker"])
