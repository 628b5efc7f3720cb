"""`gradcube user`: who may ask the gateway, edited in the users file. A running gateway takes it up within a second."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError

from gradcube.cli import output
from gradcube.errors import ConfigError
from gradcube.security.passwords import check_password, hash_password
from gradcube.security.roles import Role
from gradcube.security.secret_files import read_password
from gradcube.security.settings import SecuritySettings
from gradcube.security.users import new_token, token_hash
from gradcube.security.users_file import Token, User, UsersFile, edit_users, read_users

app = typer.Typer(help="Who may ask the gateway: roles, jobs granted, passwords, tokens.", no_args_is_help=True)

_FILE: Any = typer.Option(None, "--users", help="users file; default: GRADCUBE_CUBE_USERS_FILE, or that of gradcube up")
_NAME: Any = typer.Argument(help="user")
_PASSWORD: Any = typer.Option(None, help="file of mode 600 with the password; default: asked for")
_ROLE: Any = typer.Argument(help=", ".join(Role.__members__))


@app.command()
def add(name: str = _NAME, role: str = _ROLE, password_file: Path | None = _PASSWORD,
        jobs: list[str] | None = typer.Option(None, "--job", help="granted; default: none, operators and admins *"),
        no_password: bool = typer.Option(False, "--no-password", help="only tokens will let this user in"),
        users: Path | None = _FILE) -> None:  # fmt: skip
    """Add a user."""
    wanted = _role(role)
    if name in read_users(_path(users)).users:
        raise typer.BadParameter(f"there is a user {name!r} already; change it with the other commands")
    password = None if no_password else hash_password(_password(password_file))
    granted = tuple(jobs or (("*",) if wanted >= Role.operator else ()))

    def added(file: UsersFile) -> UsersFile:
        if name in file.users:
            raise typer.BadParameter(f"there is a user {name!r} already; change it with the other commands")
        return file.with_user(name, User(role=wanted, password=password, jobs=granted))

    _edit(users, added)
    output.out.print(f"{name} is {wanted.name} and sees {_listed(granted)}")


@app.command("list")
def list_users(users: Path | None = _FILE, json: bool = typer.Option(False, "--json", help="for programs")) -> None:
    """Show everybody, without what proves who they are."""
    found = read_users(_path(users)).users
    columns = ["user", "role", "jobs", "masked", "password", "tokens", "disabled"]
    rows = [
        (name, user.role.name, " ".join(user.jobs), " ".join(user.masked), user.password is not None,
         " ".join(f"{token.name} (to {token.expires})" for token in user.tokens), user.disabled)
        for name, user in sorted(found.items())
    ]  # fmt: skip
    if json:
        output.print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        output.out.print(output.table(columns, rows))


@app.command("role")
def set_role(name: str = _NAME, role: str = _ROLE, users: Path | None = _FILE) -> None:
    """Give a user another role."""
    _change(users, name, lambda _: {"role": _role(role)})
    output.out.print(f"{name} is {role} now")


@app.command()
def grant(
    name: str = _NAME,
    jobs: list[str] | None = typer.Argument(None, help="jobs to grant; * is any text, ? any character"),
    revoke: list[str] | None = typer.Option(None, help="a grant to take back, as it is listed"),
    mask: list[str] | None = typer.Option(None, help="COLUMN or CUBE.COLUMN that is not shown"),
    unmask: list[str] | None = typer.Option(None, help="show it again"),
    users: Path | None = _FILE,
) -> None:
    """Say which jobs a user sees, and which columns not."""

    def changed(user: User) -> dict[str, Any]:
        upper = [[one.upper() for one in names or ()] for names in (mask, unmask)]
        return {"jobs": _merged(user.jobs, jobs, revoke), "masked": _merged(user.masked, *upper)}

    user = _change(users, name, changed)
    output.out.print(f"{name} sees {_listed(user.jobs)}" + (f" without {_listed(user.masked)}" if user.masked else ""))


@app.command("password")
def set_password(name: str = _NAME, password_file: Path | None = _PASSWORD, users: Path | None = _FILE) -> None:
    """Set a user's password, asked for or from a file."""
    read_users(_path(users)).user(name)
    hashed = hash_password(_password(password_file))
    _change(users, name, lambda _: {"password": hashed})
    output.out.print(f"{name} has a new password")


@app.command()
def disable(name: str = _NAME, undo: bool = typer.Option(False, "--undo", help="let the user in again"),
            users: Path | None = _FILE) -> None:  # fmt: skip
    """Let a user in no more, by password or token."""
    _change(users, name, lambda _: {"disabled": not undo})
    output.out.print(f"{name} is {'let in' if undo else 'disabled'}")


@app.command()
def token(
    name: str = _NAME,
    label: str = typer.Argument(help="the token's name, such as superset"),
    days: int = typer.Option(90, min=1, max=3650, help="valid for so long"),
    revoke: bool = typer.Option(False, "--revoke", help="take it back"),
    users: Path | None = _FILE,
) -> None:
    """Make a bearer token, shown this once: only its SHA-256 is kept. The same label replaces the one before."""
    secret, expires = new_token(), datetime.now(UTC).date() + timedelta(days=days)

    def changed(user: User) -> dict[str, Any]:
        others = tuple(one for one in user.tokens if one.name != label)
        if revoke and len(others) == len(user.tokens):
            raise typer.BadParameter(f"{name} has no token {label!r}")
        return {
            "tokens": others if revoke else (*others, Token(name=label, sha256=token_hash(secret), expires=expires))
        }

    _change(users, name, changed)
    if revoke:
        output.out.print(f"{label} of {name} is revoked")
    else:
        output.err.print(f"token {label} of {name}, valid to {expires}; it is not shown again")
        output.out.file.write(f"{secret}\n")


def _path(users: Path | None) -> Path:
    return users or SecuritySettings.load().users_file


def _role(name: str) -> Role:
    if name not in Role.__members__:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(Role.__members__)}")
    return Role[name]


def _password(file: Path | None) -> str:
    """Never from an argument, which other users of the machine see."""
    if file is not None:
        password = read_password(file)
    elif sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        raise typer.BadParameter(
            "there is no terminal to ask for it; give a file of mode 600", param_hint="--password-file"
        )
    try:
        check_password(password)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from error
    return str(password)


def _change(users: Path | None, name: str, fields: Callable[[User], dict[str, Any]]) -> User:
    after: list[User] = []

    def edited(file: UsersFile) -> UsersFile:
        after.append(file.user(name).changed(**fields(file.user(name))))
        return file.with_user(name, after[0])

    _edit(users, edited)
    return after[0]


def _edit(users: Path | None, edit: Callable[[UsersFile], UsersFile]) -> None:
    try:
        edit_users(_path(users), edit)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise typer.BadParameter(f"{'.'.join(map(str, first['loc'])):.100}: {first['msg']}") from None


def _merged(before: tuple[str, ...], more: list[str] | None, fewer: list[str] | None) -> tuple[str, ...]:
    if unknown := [one for one in fewer or () if one not in before]:
        raise typer.BadParameter(f"{unknown[0]!r} was not there; see: gradcube user list")
    return tuple(dict.fromkeys(one for one in (*before, *(more or ())) if one not in (fewer or ())))


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "no job"
