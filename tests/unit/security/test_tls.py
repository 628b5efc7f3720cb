import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from tests.waiting import wait_until

from gradcube.errors import ConfigError
from gradcube.security.settings import SecuritySettings
from gradcube.security.tls import server_context

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")


def certify(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate that signs itself, for localhost, and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run(
        [*made, "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    key.chmod(0o600)
    return cert, key


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return certify(tmp_path, "first")


@contextmanager
def serving(context: ssl.SSLContext) -> Iterator[int]:
    """The port of a server that says hello to each who comes, until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    raw, _ = listener.accept()
                except OSError:
                    return
                with raw:
                    try:
                        with context.wrap_socket(raw, server_side=True) as connection:
                            connection.sendall(b"hello")
                    except OSError:
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def ask(port: int, cert: Path, *, version: ssl.TLSVersion | None = None) -> tuple[bytes, str | None]:
    client = ssl.create_default_context(cafile=str(cert))
    if version is not None:
        client.minimum_version = client.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", port)) as raw,
        client.wrap_socket(raw, server_hostname="localhost") as it,
    ):
        subject = dict(pair[0] for pair in it.getpeercert()["subject"])  # type: ignore[index, misc]
        return it.recv(5), subject["commonName"]


def test_a_client_that_trusts_the_certificate_is_answered(pair: tuple[Path, Path]) -> None:
    with serving(server_context(*pair)) as port:
        assert ask(port, pair[0]) == (b"hello", "first")
        assert ask(port, pair[0], version=ssl.TLSVersion.TLSv1_2) == (b"hello", "first")


def test_uvicorn_serves_with_it(pair: tuple[Path, Path]) -> None:
    async def hello(scope: Any, receive: Any, send: Any) -> None:
        assert scope["scheme"] == "https"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    config = uvicorn.Config(
        hello, lifespan="off", log_config=None, ssl_context_factory=lambda _config, _default: server_context(*pair)
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until(lambda: server.started, 10, "uvicorn listens")
            url = f"https://localhost:{listener.getsockname()[1]}/"
            assert httpx.get(url, verify=ssl.create_default_context(cafile=str(pair[0]))).text == "hello"
        finally:
            server.should_exit = True
            thread.join()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_nothing_older_than_tls_1_2_is_spoken(pair: tuple[Path, Path]) -> None:
    context = server_context(*pair)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    with serving(context) as port, pytest.raises(OSError):  # noqa: PT011 - which one depends on OpenSSL
        ask(port, pair[0], version=ssl.TLSVersion.TLSv1_1)


def test_a_renewed_certificate_counts_at_once_and_a_broken_one_never(pair: tuple[Path, Path]) -> None:
    with serving(server_context(*pair)) as port:
        assert ask(port, pair[0])[1] == "first"
        certify(pair[0].parent, "second")
        assert ask(port, pair[0])[1] == "second"
        trusted = pair[0].with_name("trusted.pem")
        shutil.copy(pair[0], trusted)
        pair[0].write_text("broken")
        assert ask(port, trusted)[1] == "second"


def test_files_that_cannot_be_used_are_named(pair: tuple[Path, Path], tmp_path: Path) -> None:
    cert, key = pair
    (tmp_path / "other").mkdir()
    _, other = certify(tmp_path / "other", "other")
    with pytest.raises(ConfigError, match="KEY_VALUES_MISMATCH"):
        server_context(cert, other)
    with pytest.raises(ConfigError, match=r"none\.pem is not there"):
        server_context(tmp_path / "none.pem", key)
    with pytest.raises(ConfigError, match=r"none\.key cannot be read"):
        server_context(cert, tmp_path / "none.key")
    encrypted = tmp_path / "encrypted.pem"
    subprocess.run(["openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:abcd", "-out", encrypted], check=True)
    encrypted.chmod(0o600)
    with pytest.raises(ConfigError, match="encrypted"):
        server_context(cert, encrypted)
    key.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        server_context(cert, key)


def test_one_file_without_the_other_is_a_wrong_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADCUBE_CUBE_TLS_CERT_FILE", "cert.pem")
    with pytest.raises(ConfigError, match="tls_cert_file and tls_key_file go together"):
        SecuritySettings.load()
