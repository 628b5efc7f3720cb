"""A password in, its scrypt hash as one text out (`$scrypt$ln=14,r=8,p=5$salt$hash`), and the check of one."""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from gradcube.errors import ConfigError

MIN_CHARACTERS, MAX_BYTES = 12, 1024
_HASH_BYTES, _SALT_BYTES = 32, 16
_FORM = re.compile(r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+)")


@dataclass(frozen=True)
class Cost:
    """scrypt's n = 2**ln, r and p; memory is 128 * n * r bytes.

    The default is of OWASP's equal choices (Password Storage Cheat Sheet) the one with 16 MiB: many may log in at once.
    """

    ln: int = 14
    r: int = 8
    p: int = 5

    def __post_init__(self) -> None:
        if not (1 <= self.ln <= 17 and 1 <= self.r <= 16 and 1 <= self.p <= 16):
            raise ConfigError(f"scrypt with ln={self.ln}, r={self.r}, p={self.p} is out of bounds (17, 16, 16)")


def check_password(password: str) -> None:
    """Raises ConfigError for one too short to withstand guessing, or too long to be one."""
    if len(password) < MIN_CHARACTERS:
        raise ConfigError(f"the password has {len(password)} characters; it must have at least {MIN_CHARACTERS}")
    if "\0" in password or len(password.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise ConfigError(f"the password has more than {MAX_BYTES} bytes, or a NUL")


def hash_password(password: str, cost: Cost | None = None) -> str:
    """A new hash with a salt of its own. Takes about 0.2 s of one processor with the default cost."""
    cost, salt = cost or Cost(), secrets.token_bytes(_SALT_BYTES)
    parts = (base64.b64encode(one).decode() for one in (salt, _scrypt(password, salt, cost)))
    return f"$scrypt$ln={cost.ln},r={cost.r},p={cost.p}${'$'.join(parts)}"


def verify_password(password: str, stored: str) -> bool:
    """Compares in constant time. Raises ConfigError when `stored` is no such hash."""
    cost, salt, expected = parse_hash(stored)
    if "\0" in password or len(password.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return False  # to HMAC, which scrypt begins with, a password is the same with zeros behind it
    return hmac.compare_digest(_scrypt(password, salt, cost), expected)


def parse_hash(stored: str) -> tuple[Cost, bytes, bytes]:
    """Cost, salt and hash. Raises ConfigError, which does not show it."""
    match = _FORM.fullmatch(stored)
    try:
        if match is None:
            raise ValueError(stored)
        salt, expected = (base64.b64decode(part, validate=True) for part in match.group(4, 5))
    except (ValueError, binascii.Error):
        raise ConfigError("a password hash is not of the form $scrypt$ln=14,r=8,p=5$salt$hash") from None
    if len(expected) != _HASH_BYTES or len(salt) < _SALT_BYTES:
        raise ConfigError(f"a password hash must have {_HASH_BYTES} bytes and a salt of {_SALT_BYTES} or more")
    return Cost(*map(int, match.group(1, 2, 3))), salt, expected


def _scrypt(password: str, salt: bytes, cost: Cost) -> bytes:
    memory = 128 * cost.r * (2**cost.ln + cost.p + 2)
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"), salt=salt, n=2**cost.ln, r=cost.r, p=cost.p,
        maxmem=memory + (1 << 20), dklen=_HASH_BYTES,
    )  # fmt: skip
