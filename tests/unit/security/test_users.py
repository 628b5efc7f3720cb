import base64
import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

from gradcube.errors import ConfigError, NotAuthenticated, TooMany
from gradcube.security import users as users_module
from gradcube.security.passwords import Cost, hash_password, verify_password
from gradcube.security.roles import Role
from gradcube.security.users import LoginSettings, Users, new_token, token_hash
from gradcube.security.users_file import Token, User, UsersFile, edit_users, ensure_users, read_users

CHEAP = Cost(ln=4, r=1, p=1)
TODAY = date(2026, 1, 15)
RIGHT = "correct horse battery"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Stand:
    """A users file with ann (analyst, a token) and what looks at it."""

    def __init__(self, folder: Path) -> None:
        self.path, self.clock, self.token = folder / "users.json", Clock(), new_token()
        self.token_record = Token(name="ci", sha256=token_hash(self.token), expires=TODAY)
        ann = User(role=Role.analyst, password=hash_password(RIGHT, CHEAP), jobs=("a*",), masked=("NODE",),
                   tokens=(self.token_record,))  # fmt: skip
        self.path.write_text(UsersFile(users={"ann": ann, "robot": User(role=Role.viewer)}).model_dump_json())
        self.path.chmod(0o600)
        self.today = TODAY
        self.users = Users(self.path, LoginSettings(), clock=self.clock, today=lambda: self.today)

    def change(self, **fields: object) -> None:
        edit_users(self.path, lambda file: file.with_user("ann", file.user("ann").changed(**fields)))
        self.clock.now += 1.0


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    monkeypatch.setattr(users_module, "hash_password", lambda password: hash_password(password, CHEAP))
    return Stand(tmp_path)


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_the_right_password_gives_a_principal_with_what_the_file_grants(stand: Stand) -> None:
    ann = stand.users.authenticate(basic(f"ann:{RIGHT}"), "10.0.0.1")
    assert (ann.name, ann.role, ann.jobs, ann.masked) == ("ann", Role.analyst, ("a*",), ("NODE",))


@pytest.mark.parametrize(
    "header",
    [None, "", "Basic", "Basic !!!", "Basic é", basic("ann:wrong password"), basic(f"Ann:{RIGHT}"), basic("ann"),
     basic("robot:"), basic(f"nobody:{RIGHT}"), basic(f"ann:{RIGHT}\0"), "Bearer", "Bearer x", "Digest x",
     f"Bearer {RIGHT}", "Basic " + "A" * 5000],
)  # fmt: skip
def test_anything_else_is_refused_without_saying_why(stand: Stand, header: str | None) -> None:
    with pytest.raises(NotAuthenticated) as caught:
        stand.users.authenticate(header, "10.0.0.1")
    assert "ann" not in str(caught.value)


def test_a_verified_password_costs_no_scrypt_for_a_minute(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    checks: list[str] = []
    monkeypatch.setattr(users_module, "verify_password", lambda *given: checks.append("") or verify_password(*given))
    for _ in range(100):
        stand.users.authenticate(basic(f"ann:{RIGHT}"), "10.0.0.1")
    assert len(checks) == 1
    stand.clock.now += 60
    stand.users.authenticate(basic(f"ann:{RIGHT}"), "10.0.0.1")
    assert len(checks) == 2
    with pytest.raises(NotAuthenticated):
        stand.users.authenticate(basic("ann:wrong password"), "10.0.0.1")
    assert len(checks) == 3
    assert RIGHT.encode() not in b"".join(stand.users._known._until)


def test_guesses_are_slowed_down_by_pair_and_a_remembered_password_still_passes(stand: Stand) -> None:
    stand.users.authenticate(basic(f"ann:{RIGHT}"), "10.0.0.1")
    for number in range(5):
        with pytest.raises(NotAuthenticated):
            stand.users.authenticate(basic(f"ann:wrong {number}"), "10.0.0.1")
    with pytest.raises(TooMany) as caught:
        stand.users.authenticate(basic("ann:one more guess"), "10.0.0.1")
    assert caught.value.retry_after_seconds == pytest.approx(10)
    stand.users.authenticate(basic(f"ann:{RIGHT}"), "10.0.0.1")
    with pytest.raises(NotAuthenticated):
        stand.users.authenticate(basic("ann:wrong"), "10.0.0.2")


@pytest.mark.parametrize("who", [lambda n: (f"name{n}:x", "10.0.0.1"), lambda n: ("ann:x", f"10.0.1.{n}")])
def test_neither_many_names_nor_many_addresses_get_around_it(stand: Stand, who: object) -> None:
    refused = 0
    for number in range(120):
        text, address = who(number)  # type: ignore[operator]
        try:
            stand.users.authenticate(basic(text), address)
        except TooMany:
            refused += 1
        except NotAuthenticated:
            pass
    assert refused == 70


def test_right_passwords_do_not_use_up_what_is_allowed_to_be_wrong(stand: Stand) -> None:
    for _ in range(30):
        stand.users.authenticate(basic(f"ann:{RIGHT}"), "10.0.0.1")
        stand.clock.now += 61


def test_an_edit_counts_within_a_second(stand: Stand) -> None:
    header = basic(f"ann:{RIGHT}")
    stand.users.authenticate(header, "a")
    stand.change(role=Role.viewer)
    assert stand.users.authenticate(header, "a").role is Role.viewer
    stand.change(disabled=True)
    for one in (header, f"Bearer {stand.token}"):
        with pytest.raises(NotAuthenticated):
            stand.users.authenticate(one, "a")
    stand.change(disabled=False, password=hash_password("another password", CHEAP))
    with pytest.raises(NotAuthenticated):
        stand.users.authenticate(header, "a")
    stand.users.authenticate(basic("ann:another password"), "a")


def test_a_broken_file_lets_nobody_in_until_it_is_mended(stand: Stand) -> None:
    header, good = basic(f"ann:{RIGHT}"), stand.path.read_text()
    stand.users.authenticate(header, "a")
    stand.path.write_text(good[:-5])
    stand.clock.now += 1
    for _ in range(2):
        with pytest.raises(ConfigError, match="JSON"):
            stand.users.authenticate(header, "a")
    stand.path.write_text(good)
    stand.users.authenticate(header, "a")


def test_a_token_lets_in_to_the_end_of_its_last_day_and_not_when_it_is_taken_back(stand: Stand) -> None:
    header = f"Bearer {stand.token}"
    assert stand.users.authenticate(header, "a").name == "ann"
    stand.today = date(2026, 1, 16)
    with pytest.raises(NotAuthenticated):
        stand.users.authenticate(header, "a")
    stand.today = TODAY
    stand.change(tokens=())
    with pytest.raises(NotAuthenticated):
        stand.users.authenticate(header, "a")
    assert stand.token not in stand.path.read_text()


def test_guessing_tokens_is_slowed_down(stand: Stand) -> None:
    for number in range(50):
        with pytest.raises(NotAuthenticated):
            stand.users.authenticate(f"Bearer gct_{number}", "10.0.0.1")
    with pytest.raises(TooMany):
        stand.users.authenticate("Bearer gct_50", "10.0.0.1")
    assert stand.users.authenticate(f"Bearer {stand.token}", "10.0.0.1").name == "ann"


def test_first_start_makes_one_administrator_with_the_password_of_the_file(tmp_path: Path) -> None:
    path, password_file = tmp_path / "state" / "users.json", tmp_path / "state" / "password"
    ensure_users(path, password_file)
    password = password_file.read_text().strip()
    assert [one.stat().st_mode & 0o777 for one in (path, password_file, path.parent)] == [0o600, 0o600, 0o700]
    assert len(password) >= 24
    assert password not in path.read_text()
    admin = Users(path).authenticate(basic(f"ADMIN:{password}"), "a")
    assert (admin.name, admin.role, admin.sees_all_jobs) == ("ADMIN", Role.admin, True)
    before = path.read_bytes()
    ensure_users(path, password_file)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "words"),
    [({"role": "root"}, "role must be one of"), ({"jobs": ["a\0"]}, "jobs"), ({"password": "hunter2"}, "password"),
     ({"masked": ["a b"]}, "masked"), ({"rights": 1}, "rights"), ({"disabled": "maybe"}, "disabled"),
     ({"password": "$scrypt$ln=40,r=8,p=1$AAAA$AAAA"}, "password"),
     ({"tokens": [{"name": "x", "sha256": "short", "expires": "2026-01-01"}]}, "sha256")],
)  # fmt: skip
def test_a_wrong_field_is_named_and_its_value_not_shown(stand: Stand, change: dict[str, object], words: str) -> None:
    content = json.loads(stand.path.read_text())
    content["users"]["ann"].update(change)
    stand.path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=words) as caught:
        read_users(stand.path)
    assert "users.ann" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_others_may_read_is_refused(stand: Stand) -> None:
    stand.path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_users(stand.path)


def test_edits_at_once_are_all_kept_and_one_that_fails_changes_nothing(stand: Stand) -> None:
    def add(number: int) -> None:
        edit_users(stand.path, lambda file: file.with_user(f"user{number}", User(role=Role.viewer)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(12)))
    assert len(read_users(stand.path).users) == 14
    before = stand.path.read_bytes()
    with pytest.raises(ConfigError, match="user name"):
        edit_users(stand.path, lambda file: file.with_user("a:b", User(role=Role.viewer)))
    assert stand.path.read_bytes() == before
    assert not [
        name for name in os.listdir(stand.path.parent) if name.startswith(".users.json.") and "lock" not in name
    ]


def test_the_default_cost_is_at_least_what_was_promised_and_salts_differ() -> None:
    assert (Cost().ln, Cost().r) == (14, 8)
    assert hash_password(RIGHT, CHEAP) != hash_password(RIGHT, CHEAP)
    stored = hash_password(RIGHT)
    assert verify_password(RIGHT, stored)
    assert not verify_password(RIGHT + " ", stored)
