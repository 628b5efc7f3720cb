from pathlib import Path

import pytest

from gradcube.clients.address import parse, resolve
from gradcube.errors import ConfigError


def test_url_is_read_with_its_defaults() -> None:
    address = parse("http://cube.example/gradcube")
    assert (address.base_url, address.project, address.user) == ("http://cube.example:7070", "gradcube", "ADMIN")
    assert (address.verify, address.timeout_seconds) == (True, 60.0)


def test_url_with_everything() -> None:
    address = parse("kylin+compat://a%40b:p%2Fw@[::1]:7443/Proj?ssl=true&verify=/etc/ca.pem&timeout=5&version=v1")
    assert (address.base_url, address.user, address.password) == ("https://[::1]:7443", "a@b", "p/w")
    assert (address.project, address.verify, address.timeout_seconds) == ("Proj", "/etc/ca.pem", 5.0)
    assert parse("https://h/p?verify=false").verify is False
    assert parse("https://h/p").base_url == "https://h:7070"


def test_password_is_not_shown() -> None:
    assert "canary" not in repr(parse("http://ADMIN:canary@host/gradcube"))
    with pytest.raises(ConfigError) as caught:
        parse("ftp://ADMIN:canary@host/gradcube")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["", "gradcube", "http:///gradcube", "http://host", "http://host/a/b", "http://host:port/p", "mysql://host/p",
     "http://host/p?nope=1", "http://host/p?timeout=soon", "http://host/p?timeout=-1", "http://host/p?timeout=inf"],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_the_way_out(url: str) -> None:
    with pytest.raises(ConfigError):
        parse(url)


def test_password_file_must_be_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret\n")
    file.chmod(0o600)
    assert resolve("http://host/p", password_file=file).password == "secret"
    file.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        resolve("http://host/p", password_file=file)
    with pytest.raises(ConfigError, match="absent"):
        resolve("http://host/p", password_file=tmp_path / "absent")
