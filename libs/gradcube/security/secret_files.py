"""Secrets in files that only their owner can read: read with checks, made at random, replaced in one step."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gradcube.errors import ConfigError

MAX_BYTES = 4 << 20


def read_secret(path: Path, what: str) -> bytes:
    """The file's bytes. Raises ConfigError for one that others may read, that is empty, or longer than MAX_BYTES."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise ConfigError(f"{what} {path} can be read or written by others; run: chmod 600 {path}")
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{what} {path} cannot be read: {error.strerror}") from error
    if not content.strip() or len(content) > MAX_BYTES:
        raise ConfigError(f"{what} {path} is empty or longer than {MAX_BYTES} bytes")
    return content


def read_password(path: Path) -> str:
    """The first line of a password file, without its end. Raises ConfigError."""
    try:
        return read_secret(path, "password file").decode().split("\n")[0].rstrip("\r")
    except UnicodeDecodeError as error:
        raise ConfigError(f"password file {path} is not UTF-8") from error


def load_or_make(path: Path, what: str, make: Callable[[], str] = lambda: secrets.token_urlsafe(24)) -> str:
    """The file's text without white space around it; where there is no file, what `make` gives is written first."""
    if not path.exists():
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _draft(path, make() + "\n") as draft:
                os.link(draft, path)  # unlike a rename it never replaces what another start has just written
        except FileExistsError:
            pass
        except OSError as error:
            raise ConfigError(f"{what} {path} cannot be written: {error.strerror}") from error
    try:
        return read_secret(path, what).decode().strip()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{what} {path} is not UTF-8") from error


def replace_secret(path: Path, content: str, what: str) -> None:
    """Writes the file with mode 600; a crash leaves the old one or the new one, whole."""
    try:
        with _draft(path, content) as draft:
            os.replace(draft, path)
        sync_directory(path.parent)
    except OSError as error:
        raise ConfigError(f"{what} {path} cannot be written: {error.strerror}") from error


def sync_directory(path: Path) -> None:
    """So that a name just made in it survives a power loss."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextmanager
def _draft(path: Path, content: str) -> Iterator[Path]:
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)
