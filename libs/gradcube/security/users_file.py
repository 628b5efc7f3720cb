"""The users file: JSON of mode 600 in, checked records out, and edits that leave it whole.

It holds no password and no token, only what checks them; docs/security.md shows one.
"""

import fcntl
import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from gradcube.errors import ConfigError
from gradcube.security.passwords import hash_password, parse_hash
from gradcube.security.patterns import check_pattern
from gradcube.security.roles import Role
from gradcube.security.secret_files import load_or_make, read_secret, replace_secret

USER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
WHAT = "users file"


def _pattern(value: str) -> str:
    return _checked(check_pattern, value)


def _hash(value: str) -> str:
    return _checked(parse_hash, value)


def _checked(check: Callable[[str], object], value: str) -> str:
    try:
        check(value)
    except ConfigError as error:
        raise ValueError(str(error)) from None
    return value


def _role(value: object) -> Role:
    if isinstance(value, Role):
        return value
    if not isinstance(value, str) or value not in Role.__members__:
        raise ValueError(f"role must be one of {', '.join(Role.__members__)}")
    return Role[value]


RoleName = Annotated[Role, BeforeValidator(_role), PlainSerializer(lambda role: role.name)]
Pattern = Annotated[str, AfterValidator(_pattern)]
Masked = Annotated[str, Field(pattern=r"^([A-Z][A-Z0-9_]*\.)?[A-Z][A-Z0-9_]*$", max_length=256)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Token(_Record):
    """A bearer token of a user; valid to the end of the day `expires` (UTC)."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    expires: date


class User(_Record):
    """One line of the file. Without a password only tokens let him in; with neither, nobody."""

    role: RoleName
    password: Annotated[str, AfterValidator(_hash)] | None = None
    jobs: tuple[Pattern, ...] = Field(default=(), max_length=1000)
    projects: tuple[Pattern, ...] = Field(default=("*",), max_length=100)
    masked: tuple[Masked, ...] = Field(default=(), max_length=1000)
    disabled: bool = False
    tokens: tuple[Token, ...] = Field(default=(), max_length=100)

    def changed(self, **fields: Any) -> "User":
        """With other fields, checked like those of a file."""
        return User(**{name: getattr(self, name) for name in type(self).model_fields} | fields)


class UsersFile(_Record):
    """Everybody, by name."""

    version: Literal[1] = 1
    users: dict[Annotated[str, Field(pattern=rf"^{USER_NAME.pattern}$")], User] = Field(max_length=10_000)

    def user(self, name: str) -> User:
        """By name. Raises ConfigError."""
        if name not in self.users:
            raise ConfigError(f"there is no user {name!r:.80}; see: gradcube user list")
        return self.users[name]

    def with_user(self, name: str, user: User) -> "UsersFile":
        """With this one added or replaced. Raises ConfigError for a name that is none."""
        if not USER_NAME.fullmatch(name):
            raise ConfigError(f"user name {name!r:.80} must be of letters, digits and ._@- (at most 64)")
        return UsersFile(users=self.users | {name: user})


def read_users(path: Path) -> UsersFile:
    """Raises ConfigError naming the field, and never showing what is in it."""
    content = read_secret(path, WHAT)
    try:
        return UsersFile.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "JSON"
        raise ConfigError(f"{WHAT} {path}: {where:.200}: {first['msg']}") from None


def edit_users(path: Path, edit: Callable[[UsersFile], UsersFile]) -> None:
    """Reads, edits and replaces the file while no other edit is under way. Raises ConfigError; then nothing changed."""
    lock = path.with_name(f".{path.name}.lock")
    try:
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # released by the system however the process ends
            replace_secret(path, _text(edit(read_users(path))), WHAT)
    except OSError as error:
        raise ConfigError(f"{WHAT} {path} cannot be edited: {error.strerror}") from error


def ensure_users(path: Path, password_file: Path, admin: str = "ADMIN") -> None:
    """At the first start: one administrator, whose password is that of the file, which is made when it isn't there."""
    if not path.exists():
        password = load_or_make(password_file, "password file")
        first = User(role=Role.admin, password=hash_password(password), jobs=("*",))
        text = _text(UsersFile(users={}).with_user(admin, first))
        load_or_make(path, WHAT, lambda: text.rstrip("\n"))


def _text(users: UsersFile) -> str:
    return json.dumps(users.model_dump(mode="json"), indent=2) + "\n"
