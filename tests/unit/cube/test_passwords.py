import base64
from pathlib import Path

import pytest

from gradcube.errors import ConfigError
from gradcube_cube.passwords import Credentials, load_password


def _basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_first_start_writes_a_password_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "state" / "password"
    password = load_password(path)
    assert len(password) >= 24
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert load_password(path) == password
    assert [one.name for one in path.parent.iterdir()] == ["password"]


def test_two_new_passwords_differ(tmp_path: Path) -> None:
    assert load_password(tmp_path / "a") != load_password(tmp_path / "b")


@pytest.mark.parametrize(("content", "mode", "words"), [("", 0o600, "empty"), ("secret", 0o644, "chmod 600")])
def test_empty_or_open_password_file_is_refused(tmp_path: Path, content: str, mode: int, words: str) -> None:
    path = tmp_path / "password"
    path.write_text(content)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=words) as caught:
        load_password(path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "header",
    [None, "", "Basic", "Basic !!!", "Bearer x", _basic("ADMIN:wrong"), _basic("admin:right"), _basic("ADMINright"),
     _basic("ADMIN:right").replace("Basic", "Bearer"), "Basic é"],
)  # fmt: skip
def test_anything_but_the_user_and_password_is_refused(header: str | None) -> None:
    assert not Credentials("ADMIN", "right").accept(header)


def test_right_password_is_accepted_whatever_it_contains() -> None:
    assert Credentials("ADMIN", "rïght:x").accept(_basic("ADMIN:rïght:x"))
