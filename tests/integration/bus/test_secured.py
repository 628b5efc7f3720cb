"""TLS and SASL against a real listener: the certificate of the broker is checked, the password comes from a file."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.integration.bus.feeding import new_topic, read_all
from tests.waiting import wait_until

from gradcube.bus.emitter import Emitter
from gradcube.bus.local_broker import LocalBroker
from gradcube.bus.topics import apply_topics, load_topics
from gradcube.errors import BusError
from gradcube.ports import free_port
from gradcube.settings import KafkaSettings

STORE_PASSWORD = "of the test's own store"
PASSWORD = "pass word, with a comma"
LISTENER = """
listener.name.secure.sasl.enabled.mechanisms=PLAIN
listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_trainer="{password}";
listener.name.secure.ssl.keystore.type=PKCS12
listener.name.secure.ssl.keystore.location={folder}/broker.p12
listener.name.secure.ssl.keystore.password={store_password}
"""


class SecuredBroker(LocalBroker):
    """A local broker with one listener more, SASL over TLS, at `secure_port`."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.secure_port = free_port()

    def _write_properties(self) -> None:
        super()._write_properties()
        text = self._properties.read_text()
        for name in ("listeners", "advertised.listeners"):
            text = text.replace(f"\n{name}=", f"\n{name}=SECURE://127.0.0.1:{self.secure_port},")
        text = text.replace("protocol.map=", "protocol.map=SECURE:SASL_SSL,")
        folder = self.directory.parent
        text += LISTENER.format(password=PASSWORD, folder=folder, store_password=STORE_PASSWORD)
        self._properties.write_text(text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the broker's key and certificate, the certificate alone for its clients, and the password."""
    folder = tmp_path_factory.mktemp("secured")
    store = ["-alias", "broker", "-keystore", str(folder / "broker.p12"), "-storepass", STORE_PASSWORD]
    name = ["-dname", "CN=broker", "-ext", "san=ip:127.0.0.1", "-keyalg", "EC", "-validity", "2"]
    subprocess.run(["keytool", "-genkeypair", *store, "-storetype", "PKCS12", *name], check=True, capture_output=True)
    export = ["keytool", "-exportcert", "-rfc", *store, "-file", str(folder / "broker.pem")]
    subprocess.run(export, check=True, capture_output=True)
    (folder / "password").write_text(PASSWORD + "\n")
    return folder


@pytest.fixture(scope="module")
def broker(folder: Path) -> Iterator[SecuredBroker]:
    with SecuredBroker(folder / "broker") as running:
        yield running


@pytest.fixture
def kafka(broker: SecuredBroker, folder: Path) -> KafkaSettings:
    return KafkaSettings(
        bootstrap=f"127.0.0.1:{broker.secure_port}",
        security_protocol="SASL_SSL",
        ssl_cafile=folder / "broker.pem",
        sasl_mechanism="PLAIN",
        sasl_username="trainer",
        sasl_password_file=folder / "password",
    )


def test_records_go_to_and_from_a_listener_with_tls_and_sasl(kafka: KafkaSettings) -> None:
    topic = new_topic(kafka)
    emitter = Emitter(kafka)
    assert emitter.offer(topic, b"bert/0", b"a record")
    emitter.close(30)
    assert emitter.stats().acknowledged == 1
    assert [(record.key, record.value) for record in read_all(kafka, topic)] == [(b"bert/0", b"a record")]


def test_a_wrong_password_is_an_error_that_does_not_show_it(kafka: KafkaSettings, tmp_path: Path) -> None:
    wrong = tmp_path / "password"
    wrong.write_text("not the password")
    with pytest.raises(BusError) as caught:
        new_topic(kafka.model_copy(update={"sasl_password_file": wrong}))
    assert "not the password" not in str(caught.value)


def test_a_broker_whose_certificate_nobody_has_vouched_for_gets_no_record(kafka: KafkaSettings) -> None:
    topic = new_topic(kafka)
    emitter = Emitter(kafka.model_copy(update={"ssl_cafile": None}))
    emitter.offer(topic, b"bert/0", b"a secret record")
    assert not emitter.flush(3)
    emitter.close(0)
    assert emitter.stats().dropped == 1
    assert read_all(kafka, topic) == []


def test_the_metrics_service_works_through_tls_and_sasl(kafka: KafkaSettings, tmp_path: Path) -> None:
    apply_topics(kafka, load_topics(), replication=1)
    port = free_port()
    variables = {f"GRADCUBE_KAFKA_{name.upper()}": str(value) for name, value in kafka if value is not None}
    env = {**os.environ, **variables, "GRADCUBE_METRICS_PORT": str(port)}
    with (tmp_path / "log").open("wb") as log:
        service = subprocess.Popen([sys.executable, "-m", "gradcube_metrics"], env=env, stdout=log, stderr=log)
    try:
        wait_until(lambda: _ready(port), 60, "the metrics service is ready")
    finally:
        service.terminate()
        assert service.wait(30) == 0, (tmp_path / "log").read_text()[-2000:]
    assert PASSWORD not in (tmp_path / "log").read_text()


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
