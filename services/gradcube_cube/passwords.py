"""The gateway's password: a file that its first start writes, and HTTP Basic checked against it."""

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from gradcube.errors import ConfigError


def load_password(path: Path) -> str:
    """The file's password; a random one is written (mode 600, atomically) when there is no file."""
    try:
        return _read(path)
    except FileNotFoundError:
        return _make(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"password file {path} cannot be read: {error}") from error


class Credentials:
    """One user. Only a keyed hash is kept, and it is compared in constant time.

    The file holds the password in clear, for people to read it, so a slow hash of it would protect nothing.
    """

    def __init__(self, user: str, password: str) -> None:
        self._key = secrets.token_bytes(32)
        self._digest = self._hash(f"{user}:{password}".encode())

    def accept(self, header: str | None) -> bool:
        """Whether an Authorization header names the user and the password."""
        scheme, _, encoded = (header or "").partition(" ")
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(self._hash(given), self._digest) and scheme.lower() == "basic"

    def _hash(self, given: bytes) -> bytes:
        return hashlib.blake2b(given, key=self._key).digest()


def _read(path: Path) -> str:
    password = path.read_text().strip()
    if not password:
        raise ConfigError(f"password file {path} is empty; delete it to get a random password")
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"password file {path} can be read by others; run: chmod 600 {path}")
    return password


def _make(path: Path) -> str:
    password = secrets.token_urlsafe(24)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(password + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # unlike a rename it never replaces what another start has just written
    except FileExistsError:
        return _read(path)
    except OSError as error:
        raise ConfigError(f"password file {path} cannot be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
    return password
