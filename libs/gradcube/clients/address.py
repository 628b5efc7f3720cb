"""Where to ask and as whom: a URL in, an `Address` out. The password is never shown."""

import os
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from gradcube.errors import ConfigError

EXAMPLE = "http://USER@HOST:7070/PROJECT"
DEFAULT_PORT = 7070
TIMEOUT_SECONDS = 60.0
_SCHEMES = {"http": False, "https": True, "kylin": False, "kylin+compat": False}
_OPTIONS = ("ssl", "verify", "timeout", "version")


@dataclass(frozen=True)
class Address:
    """A gateway's project. `verify` is True, False, or the path of the certificate authorities to trust."""

    base_url: str
    project: str
    user: str = "ADMIN"
    password: str = field(default="", repr=False)
    verify: bool | str = True
    timeout_seconds: float = TIMEOUT_SECONDS

    def with_password_of(self, path: str | Path) -> "Address":
        """The same with the password that the file holds. Raises ConfigError when others may read the file."""
        return replace(self, password=_read_secret(Path(path).expanduser()))


def parse(url: str) -> Address:
    """`http(s)://user:password@host:port/project`, also as `kylin://` or `kylin+compat://`.

    Options behind `?`: `ssl=true` (TLS for the schemes of Kylin's), `verify=FILE` (certificate authorities) or
    `verify=false`, `timeout=SECONDS`; `version=v1`, kylinpy's, says nothing new. Raises ConfigError.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORT
    except ValueError as error:
        raise ConfigError(f"the address cannot be read: {error}; write {EXAMPLE}") from error
    project = unquote(parts.path.strip("/"))
    if parts.scheme not in _SCHEMES or not parts.hostname or not project or "/" in project:
        raise ConfigError(f"{_shown(url)!r} is not the address of a project; write {EXAMPLE}")
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if unknown := sorted(set(options) - set(_OPTIONS)):
        raise ConfigError(f"{unknown[0]!r} is not an option of an address; there are {', '.join(_OPTIONS)}")
    tls = _SCHEMES[parts.scheme] or options.get("ssl", "").lower() in ("1", "true", "yes")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Address(
        f"{'https' if tls else 'http'}://{host}:{port}",
        project,
        unquote(parts.username or "ADMIN"),
        unquote(parts.password or ""),
        _verify(options.get("verify", "true")),
        _seconds(options.get("timeout", str(TIMEOUT_SECONDS))),
    )


def resolve(
    where: str | Address,
    *,
    password: str | None = None,
    password_file: str | Path | None = None,
    verify: bool | str | None = None,
    timeout_seconds: float | None = None,
) -> Address:
    """An address, or the one that a URL names, with what is given instead of what it says. Raises ConfigError."""
    address = parse(where) if isinstance(where, str) else where
    if password_file is not None:
        address = address.with_password_of(password_file)
    given: dict[str, Any] = {"password": password, "verify": verify, "timeout_seconds": timeout_seconds}
    return replace(address, **{name: value for name, value in given.items() if value is not None})


def _shown(url: str) -> str:
    """The address without what stands before the @."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _verify(text: str) -> bool | str:
    return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError as error:
        raise ConfigError(f"timeout is {text!r}; it is a number of seconds") from error
    if not 0 < seconds < float("inf"):
        raise ConfigError(f"timeout is {text!r}; it is a number of seconds above 0")
    return seconds


def _read_secret(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise ConfigError(f"{path} may be read by others (mode {mode:o}); run: chmod 600 {path}")
            return file.read(4096).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the password file {path} cannot be read: {error}") from error
