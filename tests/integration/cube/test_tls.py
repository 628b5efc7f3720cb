"""A gateway with a certificate: it is verified by its clients, and nothing is answered without TLS."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.integration.cube.gateway_process import GatewayProcess
from tests.unit.security.test_tls import certify

from gradcube.clients.connection import connect
from gradcube.errors import GradcubeError
from gradcube.settings import KafkaSettings

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certify(tmp_path_factory.mktemp("certificate"), "gateway")


@pytest.fixture(scope="module")
def gateway(certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    cert, key = certificate
    nobody = KafkaSettings(bootstrap="127.0.0.1:1")
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), nobody, tls_cert_file=str(cert), tls_key_file=str(key))
    process.start()
    yield process
    process.stop()


def test_client_that_trusts_the_certificate_is_answered(
    gateway: GatewayProcess, certificate: tuple[Path, Path]
) -> None:
    address = f"https://ADMIN@localhost:{gateway.port}/gradcube"
    with connect(address, password=gateway.password, verify=str(certificate[0])) as connection:
        assert connection.query("select count(*) from FACTS", progress=False).rows == [(0,)]


def test_client_that_does_not_is_stopped_before_it_says_its_password(gateway: GatewayProcess) -> None:
    address = f"https://ADMIN@localhost:{gateway.port}/gradcube"
    with pytest.raises(GradcubeError, match="certificate"), connect(address, password=gateway.password) as connection:
        connection.query("select 1", progress=False)


def test_nothing_is_answered_without_tls(gateway: GatewayProcess) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://localhost:{gateway.port}/live")
