"""Apache Kylin below one folder on this machine: fetched, started, deployed to, asked by a gateway, stopped."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from gradcube.cli import processes
from gradcube.cli.processes import LocalProcess
from gradcube.cli.state import PROJECT
from gradcube.cube.deploy.kylin import KylinDeployment
from gradcube.cube.model import Catalog
from gradcube.errors import ConfigError
from gradcube.kylin import accounts
from gradcube.kylin.rest import KylinRest
from gradcube.kylin.target import KylinTarget
from gradcube.ports import choose_port
from gradcube.security.secret_files import read_password
from gradcube.settings import KafkaSettings

READY_SECONDS = 240.0
"""A server that was killed left a lock in ZooKeeper, which ends within a minute."""
ZOOKEEPER_PORT, SERVER_PORT, RECEIVER_PORT = 2181, 7170, 9091
STOP_SECONDS = 60.0


class LocalKylin:
    """`LocalKylin(folder).start(1, with_parent=False)`. What it is told and what it keeps lies in the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    def start(self, receivers: int, replicas: int = 1, *, with_parent: bool) -> LocalProcess:
        """The supervisor, which may not have started the others yet: `processes.wait_ready(process, READY_SECONDS)`."""
        told = {"DIRECTORY": self.folder, "RECEIVERS": receivers, **self._ports()}
        self._replicas.write_text(f"{replicas}\n")
        process, _ = processes.start(
            "kylin", [sys.executable, "-m", "gradcube.kylin"],
            env={f"GRADCUBE_KYLIN_{name}": str(value) for name, value in told.items()},
            log=self.folder / "logs" / "supervisor.log", with_parent=with_parent,
            address=f"127.0.0.1:{told['SERVER_PORT']}", health=f"http://127.0.0.1:{told['HEALTH_PORT']}",
        )  # fmt: skip
        return process

    def deployment(self, address: str, catalog: Catalog, bootstrap: str) -> KylinDeployment:
        """To deploy to; it will read that broker."""
        rest = KylinRest(f"http://{address}", accounts.ADMIN, accounts.password(self.folder, accounts.ADMIN))
        replicas = int(self._replicas.read_text()) if self._replicas.is_file() else 1
        return KylinDeployment(rest, catalog, PROJECT, bootstrap, replicas=replicas)

    def gateway_settings(self, address: str) -> dict[str, str]:
        """What the gateway is told, so that it asks this Kylin."""
        return {
            "GRADCUBE_CUBE_KYLIN_URL": f"http://{address}",
            "GRADCUBE_CUBE_KYLIN_PASSWORD_FILE": str(accounts.password_file(self.folder, accounts.GATEWAY)),
        }

    def _ports(self) -> dict[str, int]:
        """Those of the last start: a receiver is known in Kylin's metadata by its port."""
        chosen = {
            "ZOOKEEPER_PORT": choose_port(ZOOKEEPER_PORT), "SERVER_PORT": choose_port(SERVER_PORT),
            "RECEIVER_PORT": choose_port(RECEIVER_PORT),
        }  # fmt: skip
        path = self.folder / "ports.json"
        kept = json.loads(path.read_text()) if path.is_file() else {}
        ports = {**chosen, **kept, "HEALTH_PORT": choose_port()}
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(json.dumps(ports) + "\n")
        return ports

    @property
    def _replicas(self) -> Path:
        """How many receivers of a set, for those who deploy."""
        return self.folder / "replicas"


def told_kylin(target: KylinTarget, catalog: Catalog, kafka: KafkaSettings) -> KylinDeployment:
    """One that runs elsewhere, such as in a cluster. Raises ConfigError."""
    if target.url is None or target.password_file is None:
        raise ConfigError("GRADCUBE_KYLIN_URL needs GRADCUBE_KYLIN_PASSWORD_FILE, a file with ADMIN's password")
    if kafka.security_protocol != "PLAINTEXT":
        raise ConfigError(
            f"Kylin's receivers read Kafka without TLS and password, and GRADCUBE_KAFKA_SECURITY_PROTOCOL is "
            f"{kafka.security_protocol}; name a PLAINTEXT listener in GRADCUBE_KAFKA_BOOTSTRAP"
        )
    rest = KylinRest(target.url, accounts.ADMIN, read_password(target.password_file))
    return KylinDeployment(
        rest, catalog, PROJECT, kafka.bootstrap, replicas=target.replicas, receivers=target.receivers
    )


def fetch_kylin(told: Callable[[str], None]) -> None:
    """Jars and classes into the user's cache, once."""
    from gradcube.kylin.artifacts import fetch
    from gradcube.kylin.classes import compiled

    jars = fetch(told)
    told("compiling the launcher")
    compiled(jars)
