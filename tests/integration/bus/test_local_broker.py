"""The broker of this machine, for real: its port and data outlive a kill, and it ends with its parent."""

import signal
import subprocess
import sys
from uuid import UUID

import psutil
import pytest
from tests.integration.bus.conftest import spec
from tests.waiting import wait_until

from gradcube.bus.local_broker import LocalBroker
from gradcube.bus.topics import apply_topics, check_topics
from gradcube.ports import is_free
from gradcube.settings import KafkaSettings

PARENT = """
import sys, time
from pathlib import Path
from gradcube.bus.local_broker import LocalBroker
broker = LocalBroker(Path(sys.argv[1]))
broker.start()
print("started", broker.pid, broker.port, flush=True)
time.sleep(600)
"""


def test_killed_broker_comes_back_on_its_port_with_its_topics(
    own_broker: LocalBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A cluster id that begins with "-", as one in 64 does.
    monkeypatch.setattr("gradcube.bus.local_broker.uuid.uuid4", lambda: UUID(bytes=b"\xf8" + bytes(15)))
    own_broker.start()
    address, kafka = own_broker.bootstrap, KafkaSettings(bootstrap=own_broker.bootstrap)
    apply_topics(kafka, {"kept": spec("kept")})
    own_broker.kill()
    assert is_free(own_broker.port)
    with LocalBroker(own_broker.directory) as again:
        assert again.bootstrap == address
        check_topics(kafka, {"kept": spec("kept")})
    assert is_free(own_broker.port)


def test_broker_of_a_killed_parent_ends(own_broker: LocalBroker) -> None:
    command = [sys.executable, "-c", PARENT, str(own_broker.directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            words = next(line for line in parent.stdout if line.startswith("started")).split()
            pid, port = int(words[1]), int(words[2])
            assert psutil.Process(pid).is_running()
        finally:
            parent.send_signal(signal.SIGKILL)
    wait_until(lambda: is_free(port) and not psutil.pid_exists(pid), 20, "the broker is gone")
