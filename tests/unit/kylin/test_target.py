from pathlib import Path
from typing import Any

import httpx
import pytest

from gradcube.cli.kylin import chosen_kylin
from gradcube.cube.deploy.kylin_receivers import Receivers
from gradcube.cube.model import load_catalog
from gradcube.errors import ConfigError
from gradcube.kylin.rest import KylinAbsent, KylinRest
from gradcube.kylin.target import KylinTarget


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("GRADCUBE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GRADCUBE_KYLIN_URL", raising=False)


def test_local_kylin_is_the_default() -> None:
    with pytest.raises(ConfigError, match="start it with: gradcube kylin up"):
        chosen_kylin(load_catalog())


def test_kylin_elsewhere_is_asked_as_admin_with_the_files_password(tmp_path: Path, monkeypatch: Any) -> None:
    asked: list[httpx.Request] = []
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda _, request: answer(asked, request))
    path = tmp_path / "password"
    path.write_text("word\n")
    path.chmod(0o600)
    monkeypatch.setenv("GRADCUBE_KYLIN_URL", "http://kylin.ns.svc:7170")
    monkeypatch.setenv("GRADCUBE_KYLIN_PASSWORD_FILE", str(path))
    assert chosen_kylin(load_catalog()).deployed() == []
    assert {str(one.url.copy_with(query=None)) for one in asked} == {"http://kylin.ns.svc:7170/kylin/api/projects"}
    assert {one.headers["Authorization"] for one in asked} == {httpx.BasicAuth("ADMIN", "word")._auth_header}


def answer(asked: list[httpx.Request], request: httpx.Request) -> httpx.Response:
    asked.append(request)
    return httpx.Response(200, json=[])


def test_password_is_missing_or_open_to_others(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("GRADCUBE_KYLIN_URL", "http://kylin:7170")
    with pytest.raises(ConfigError, match="needs GRADCUBE_KYLIN_PASSWORD_FILE"):
        chosen_kylin(load_catalog())
    path = tmp_path / "password"
    path.write_text("word\n")
    path.chmod(0o644)
    monkeypatch.setenv("GRADCUBE_KYLIN_PASSWORD_FILE", str(path))
    with pytest.raises(ConfigError, match="can be read or written by others"):
        chosen_kylin(load_catalog())


@pytest.mark.parametrize("url", ["kylin:7170", "http://ADMIN:word@kylin:7170", "http://kylin:7170/kylin"])
def test_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="GRADCUBE_KYLIN_URL"):
        KylinTarget.load(url=url)


def test_broker_that_asks_for_a_password_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "password"
    path.write_text("word\n")
    path.chmod(0o600)
    monkeypatch.setenv("GRADCUBE_KYLIN_URL", "http://kylin:7170")
    monkeypatch.setenv("GRADCUBE_KYLIN_PASSWORD_FILE", str(path))
    monkeypatch.setenv("GRADCUBE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    with pytest.raises(ConfigError, match="GRADCUBE_KAFKA_SECURITY_PROTOCOL is SASL_SSL"):
        chosen_kylin(load_catalog())


def test_receivers_get_nothing_to_read_before_all_have_come(monkeypatch: Any) -> None:
    monkeypatch.setattr(KylinRest, "get", lambda *_: [{"host": "kylin-receiver-0", "port": 9091}])
    with KylinRest("http://kylin:7170", "ADMIN", "word") as rest, pytest.raises(KylinAbsent, match="1 of 2 receivers"):
        Receivers(rest, replicas=1, wanted=2).assign()
