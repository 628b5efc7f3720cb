"""A real Kafka broker of one node on this machine, for `gradcube up`, the demo and the tests.

Its directory holds server.properties, the data and broker.log; starting again on it keeps data and ports.
"""

import base64
import os
import re
import signal
import string
import subprocess
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Self

import kafka.errors
import structlog
from kafka import KafkaAdminClient

from gradcube.bus.broker_files import BROKER_FILES, fetch_broker, java_command
from gradcube.bus.client import connect
from gradcube.errors import BusError, ConfigError
from gradcube.ports import free_port, is_free, require_free
from gradcube.settings import KafkaSettings

__all__ = ["LocalBroker", "fetch_broker"]

log = structlog.get_logger(__name__)

HEAP = ["-Xms128m", "-Xmx384m", "-XX:+UseSerialGC"]
# Reads until the pipe's other end is gone with our process, however it ended, then kills the broker.
GUARD = 'while read -r _; do :; done; kill -KILL "$1"'


class LocalBroker:
    """A broker process. `with LocalBroker(directory) as broker: KafkaSettings(bootstrap=broker.bootstrap)`.

    Ports of 0 are those of the last start in this directory, or free ones. The broker ends with this process, also
    when that is killed: a guard process holds the other end of a pipe from us.
    """

    def __init__(self, directory: Path, *, port: int = 0, controller_port: int = 0) -> None:
        self.directory = directory.absolute()
        self._properties = self.directory / "server.properties"
        last_port, last_controller_port = self._last_ports()
        self.port = port or last_port or free_port()
        self.controller_port = controller_port or last_controller_port or free_port()
        self._broker: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """The address for KafkaSettings.bootstrap."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The broker's process id. Raises BusError when it isn't running."""
        return self._running().pid

    @property
    def log_path(self) -> Path:
        """Where the broker writes its log."""
        return self.directory / "broker.log"

    def start(self, timeout_seconds: float = 60) -> None:
        """Starts the broker and returns when it answers a request.

        Raises ConfigError for a taken port or missing Java, BusError with the log's end when it dies or is too slow.
        """
        if self._broker is not None:
            raise BusError(f"the broker of {self.directory} is running as pid {self._broker.pid}; stop it first")
        deadline = time.monotonic() + timeout_seconds
        require_free(self.port, "broker")
        require_free(self.controller_port, "controller")
        java = [java_command(), *HEAP, f"-Dlog4j2.configurationFile={BROKER_FILES / 'log4j2.xml'}"]
        java += ["-cp", f"{fetch_broker()}/*"]
        self._write_properties()
        self._format(java)
        self._launch(java)
        self._wait_until_it_answers(deadline, timeout_seconds)
        log.info("broker started", bootstrap=self.bootstrap, pid=self.pid, directory=str(self.directory))

    def stop(self, timeout_seconds: float = 20) -> None:
        """Shuts the broker down in order, with SIGKILL when that takes too long; nothing when it isn't running."""
        if self._broker is not None:
            self.thaw()
            self._broker.terminate()
            try:
                self._broker.wait(timeout_seconds)
            except subprocess.TimeoutExpired:
                log.warning("broker killed", reason="it did not stop", timeout_seconds=timeout_seconds)
            self.kill()

    def kill(self) -> None:
        """Ends the broker at once, as a power cut would; what it acknowledged is there after the next start."""
        if self._broker is not None and self._guard is not None:
            for process in (self._guard, self._broker):
                process.kill()
                process.wait()
            assert self._guard.stdin is not None
            self._guard.stdin.close()
            self._broker = self._guard = None

    def freeze(self) -> None:
        """Stops the broker's process (SIGSTOP): connections stay open, nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets a frozen broker go on."""
        os.kill(self.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._broker is None:
            raise BusError(f"the broker of {self.directory} is not running; start it first")
        return self._broker

    def _last_ports(self) -> tuple[int, int]:
        if not self._properties.exists():
            return 0, 0
        ports = re.search(r"^listeners=\S+:(\d+),\S+:(\d+)$", self._properties.read_text(), re.MULTILINE)
        if ports is None:
            raise ConfigError(f"{self._properties} names no listeners; delete the file")
        return int(ports[1]), int(ports[2])

    def _write_properties(self) -> None:
        template = string.Template((BROKER_FILES / "server.properties").read_text(encoding="utf-8"))
        self.directory.mkdir(parents=True, exist_ok=True)
        self._properties.write_text(
            template.substitute(port=self.port, controller_port=self.controller_port, data=self.directory / "data"),
            encoding="utf-8",
        )

    def _format(self, java: list[str]) -> None:
        """Once per directory: gives the data folder its cluster id, 16 random bytes in URL-safe base64."""
        if (self.directory / "data" / "meta.properties").exists():
            return
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # Joined with "=": one id in 64 begins with "-" and would be taken for an option.
        tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "-c", str(self._properties)]
        done = subprocess.run([*java, *tool], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BusError(f"{self.directory}/data cannot be formatted: {(done.stdout + done.stderr).strip()[-800:]}")

    def _launch(self, java: list[str]) -> None:
        # Own sessions: Ctrl-C in a terminal reaches us alone, and we stop the broker in order.
        with self.log_path.open("ab") as output:
            self._broker = subprocess.Popen(
                [*java, "kafka.Kafka", str(self._properties)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        guard = ["sh", "-c", GUARD, "broker-guard", str(self._broker.pid)]
        self._guard = subprocess.Popen(guard, stdin=subprocess.PIPE, start_new_session=True)

    def _wait_until_it_answers(self, deadline: float, timeout_seconds: float) -> None:
        while not self._answers():
            returncode = self._running().poll()
            if returncode is not None or time.monotonic() > deadline:
                died = f"ended with code {returncode}" if returncode is not None else f"silent for {timeout_seconds} s"
                self.kill()
                raise BusError(f"the broker of {self.directory} {died}; end of {self.log_path}:\n{self._log_tail()}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        if is_free(self.port):
            return False  # spares the client's own back-off while nobody listens
        try:
            admin = connect(KafkaAdminClient, KafkaSettings(bootstrap=self.bootstrap), bootstrap_timeout_ms=2000)
        except kafka.errors.KafkaError:
            return False
        try:
            return bool(admin.describe_cluster()["brokers"])
        except kafka.errors.KafkaError:
            return False
        finally:
            admin.close()

    def _log_tail(self) -> str:
        return "\n".join(self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
