import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gradcube.cli.main import app
from gradcube.security import users_file
from gradcube.security.passwords import Cost, hash_password, verify_password
from gradcube.security.users import Users
from gradcube.security.users_file import ensure_users, read_users

PASSWORD = "a long enough password"


class Command:
    """`gradcube user ...` on a file of its own; the password is in a file of mode 600."""

    def __init__(self, folder: Path) -> None:
        self.path, self.password_file = folder / "users.json", folder / "secret"
        ensure_users(self.path, folder / "admin")
        self.password_file.write_text(PASSWORD + "\n")
        self.password_file.chmod(0o600)

    def __call__(self, *words: str, code: int = 0) -> str:
        answer = CliRunner().invoke(app, ["user", *words, "--users", str(self.path)])
        assert answer.exit_code == code, (answer.output, answer.exception)
        return answer.output

    def add(self, *words: str, code: int = 0) -> str:
        return self("add", *words, "--password-file", str(self.password_file), code=code)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    def cheap(password: str) -> str:
        return hash_password(password, Cost(ln=4, r=1, p=1))

    monkeypatch.setattr(users_file, "hash_password", cheap)
    monkeypatch.setattr("gradcube.cli.users.hash_password", cheap)
    return Command(tmp_path)


def test_a_user_is_added_granted_masked_changed_and_disabled(command: Command) -> None:
    command.add("ann", "analyst", "--job", "run-*")
    command("grant", "ann", "other", "--mask", "facts.node", "--mask", "SUBJECT")
    command("grant", "ann", "--revoke", "run-*", "--unmask", "SUBJECT")
    command("role", "ann", "viewer")
    command("disable", "ann")
    ann = read_users(command.path).user("ann")
    assert (ann.role.name, ann.jobs, ann.masked, ann.disabled) == ("viewer", ("other",), ("FACTS.NODE",), True)
    assert ann.password is not None
    assert verify_password(PASSWORD, ann.password)
    command("disable", "ann", "--undo")
    assert not read_users(command.path).user("ann").disabled


def test_nothing_is_granted_to_an_analyst_by_default_and_all_jobs_to_an_operator(command: Command) -> None:
    assert "sees no job" in command.add("ann", "analyst")
    assert "sees *" in command.add("olga", "operator")


def test_a_token_is_shown_once_and_its_hash_kept(command: Command) -> None:
    command("add", "robot", "analyst", "--no-password")
    token = next(
        line for line in command("token", "robot", "superset", "--days", "7").splitlines() if line[:4] == "gct_"
    )
    assert token not in command.path.read_text() + command("list")
    assert Users(command.path).authenticate(f"Bearer {token}", "a").name == "robot"
    command("token", "robot", "superset")  # replaces it
    assert len(read_users(command.path).user("robot").tokens) == 1
    command("token", "robot", "superset", "--revoke")
    assert read_users(command.path).user("robot").tokens == ()
    command("token", "robot", "superset", "--revoke", code=2)


def test_the_list_shows_no_hash(command: Command) -> None:
    command.add("ann", "analyst", "--job", "a*")
    rows = json.loads(command("list", "--json"))
    assert [row["user"] for row in rows] == ["ADMIN", "ann"]
    assert "scrypt" not in command("list", "--json") + command("list")


@pytest.mark.parametrize(
    ("words", "said"),
    [(["add", "ann", "root"], "viewer, analyst, operator, admin"), (["add", "ADMIN", "viewer"], "already"),
     (["role", "ADMIN", "king"], "none of"), (["grant", "ADMIN", "a\0b"], "NUL"),
     (["grant", "ADMIN", "--revoke", "x"], "was not there"),
     (["grant", "ADMIN", "--mask", "a b"], "masked"), (["add", "ann", "viewer"], "--password-file"),
     (["token", "ADMIN", "a b"], "name")],
)  # fmt: skip
def test_bad_input_is_exit_code_2_and_changes_nothing(command: Command, words: list[str], said: str) -> None:
    before = command.path.read_bytes()
    assert said in " ".join(command(*words, code=2).replace("│", " ").split())
    assert command.path.read_bytes() == before


def test_a_password_that_is_short_or_open_to_others_is_refused(command: Command) -> None:
    command.password_file.write_text("short\n")
    assert "at least 12" in command.add("ann", "viewer", code=2)
    command.password_file.write_text(PASSWORD)
    command.password_file.chmod(0o644)
    command.add("ann", "viewer", code=1)  # a ConfigError, which `main` makes exit code 78
    assert "ann" not in read_users(command.path).users
    assert "unknown" not in read_users(command.path).users
