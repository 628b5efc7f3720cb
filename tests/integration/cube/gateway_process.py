"""A gateway in a process of its own, asked through the stock kylinpy."""

import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from kafka import KafkaProducer
from tests.waiting import wait_until

from gradcube.cube.client import open_kylin, query
from gradcube.settings import KafkaSettings


class GatewayProcess:
    """Starts on `start()`; the same port, store and password after every restart."""

    def __init__(self, directory: Path, kafka: KafkaSettings, **settings: str) -> None:
        self.directory = directory
        self.port = free_port()
        self.log = directory / "gateway.log"
        self._certificate = settings.get("tls_cert_file")
        self._environment = os.environ | {
            "GRADCUBE_KAFKA_BOOTSTRAP": kafka.bootstrap,
            "GRADCUBE_CUBE_PORT": str(self.port),
            "GRADCUBE_CUBE_STORE": str(directory / "store"),
            "GRADCUBE_CUBE_PASSWORD_FILE": str(directory / "password"),
            "GRADCUBE_CUBE_USERS_FILE": str(directory / "users.json"),
            "GRADCUBE_CUBE_AUDIT_FILE": str(directory / "audit" / "audit.jsonl"),
            "GRADCUBE_CUBE_AUDIT_KEY_FILE": str(directory / "audit.key"),
            "GRADCUBE_CUBE_RESERVE_BYTES": "0",
            **{f"GRADCUBE_CUBE_{name.upper()}": value for name, value in settings.items()},
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gradcube_cube"], env=self._environment, stdout=log, stderr=log
            )
        wait_until(self._answers, 60, f"gateway listens; log: {self.log}")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.url}/live", verify=self.trust).status_code == 200
        except httpx.TransportError:
            return False

    def signal(self, kind: signal.Signals) -> int:
        """Sends it and returns the exit code."""
        assert self._process is not None
        self._process.send_signal(kind)
        return self._process.wait(30)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            assert self.signal(signal.SIGTERM) == 0, self.log.read_text()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        if self._certificate is not None:
            return f"https://localhost:{self.port}"
        return f"http://127.0.0.1:{self.port}"

    @property
    def trust(self) -> ssl.SSLContext | bool:
        """What a client has to trust: its own certificate, if it has one."""
        return True if self._certificate is None else ssl.create_default_context(cafile=self._certificate)

    @property
    def password(self) -> str:
        return (self.directory / "password").read_text().strip()

    def kylin(self, password: str | None = None, project: str = "gradcube") -> Any:
        word = password or self.password
        return open_kylin(f"kylin://ADMIN:{word}@127.0.0.1:{self.port}/{project}?version=v1")

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        return query(self.kylin(), sql).rows

    def whole_status(self) -> dict[str, Any]:
        return dict(httpx.get(f"{self.url}/status", timeout=20).json())

    def status(self, cube: str = "FACTS") -> dict[str, Any]:
        return dict(self.whole_status()["cubes"][cube])

    def wait_for_rows(self, rows: int, timeout_seconds: float = 60, cube: str = "FACTS") -> None:
        wait_until(lambda: self.status(cube)["rows"] >= rows, timeout_seconds, f"{rows} rows; log: {self.log}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def produce(kafka: KafkaSettings, topic: str, values: Sequence[bytes], partition: int | None = None) -> None:
    """Returns when the broker has them all."""
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    for value in values:
        producer.send(topic, value=value, partition=partition)
    producer.flush()
    producer.close()
