"""An Authorization header and an address in, a Principal out: HTTP Basic and bearer tokens against the users file."""

import base64
import binascii
import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from gradcube.errors import ConfigError, NotAuthenticated
from gradcube.security.limits import RateLimiter
from gradcube.security.passwords import hash_password, verify_password
from gradcube.security.policy import Principal
from gradcube.security.users_file import User, UsersFile, read_users

MAX_HEADER_CHARACTERS = 4096
_WRONG = "Wrong user name or password."


@dataclass(frozen=True)
class LoginSettings:
    """A password once verified is good for `remember_seconds` without scrypt; the file is read within `look_seconds`.

    Of wrong passwords, `mistakes` at once and then `mistakes_per_second` are looked at for each pair of user and
    address; ten times as many for an address and for a user, so that neither many names nor many addresses help.
    """

    remember_seconds: float = 60.0
    look_seconds: float = 1.0
    mistakes: int = 5
    mistakes_per_second: float = 0.1


class Users:
    """`authenticate` may take 0.2 s of a processor when a password is new: call it outside of an event loop.

    A file that changes counts within `look_seconds`. One that cannot be read lets nobody in until it can: otherwise an
    edit that takes a right away would be ignored.
    """

    def __init__(
        self,
        path: Path,
        settings: LoginSettings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        self._path, self._settings, self._clock, self._today = path, settings or LoginSettings(), clock, today
        self._lock = threading.Lock()
        self._hashing = threading.Semaphore(2)  # 16 MiB each, whatever is tried
        self._mistakes = self._limiters()
        self._known = _Remembered(self._settings.remember_seconds, clock)
        self._nobody = hash_password(secrets.token_urlsafe())
        self._looked, self._mark = -float("inf"), (0, 0, 0)
        self._users, self._tokens = UsersFile(users={}), dict[str, tuple[str, date]]()
        self._look()

    def authenticate(self, authorization: str | None, address: str) -> Principal:
        """Raises NotAuthenticated, TooMany after too many mistakes, ConfigError when the users file is unreadable."""
        self._look()
        scheme, _, given = (authorization or "").partition(" ")
        if len(given) > MAX_HEADER_CHARACTERS:
            raise NotAuthenticated(_WRONG)
        if scheme.lower() == "basic":
            return self._by_password(*_decode(given.strip()), address)
        if scheme.lower() == "bearer":
            return self._by_token(given.strip(), address)
        raise NotAuthenticated("Give a user name and password, or a bearer token.")

    def _by_password(self, name: str, password: str, address: str) -> Principal:
        user = self._users.users.get(name)
        stored = (user.password if user else None) or self._nobody
        if not self._known.holds(name, password, stored):
            keys = [(name[:64], address), (None, address), (name[:64], None)]
            for limiter, key in zip(self._mistakes, keys, strict=True):
                limiter.take(key)
            with self._hashing:  # also for names that nobody has, so that the time does not tell which there are
                right = verify_password(password, stored)
            if not right or stored is self._nobody:
                raise NotAuthenticated(_WRONG)
            for limiter, key in zip(self._mistakes, keys, strict=True):
                limiter.give_back(key)
            self._known.add(name, password, stored)
        return _principal(name, user)

    def _by_token(self, token: str, address: str) -> Principal:
        name, expires = self._tokens.get(token_hash(token), ("", date.min))
        if not name or expires < self._today():
            self._mistakes[1].take((None, address))
            raise NotAuthenticated("Wrong or expired token.")
        return _principal(name, self._users.users.get(name))

    def _limiters(self) -> tuple[RateLimiter, RateLimiter, RateLimiter]:
        burst, rate = self._settings.mistakes, self._settings.mistakes_per_second
        pair = RateLimiter(rate, burst, clock=self._clock)
        address, user = (RateLimiter(rate * 10, burst * 10, clock=self._clock) for _ in range(2))
        return pair, address, user

    def _look(self) -> None:
        with self._lock:
            if self._clock() - self._looked < self._settings.look_seconds:
                return
            try:
                found = self._path.stat()
            except OSError as error:
                raise ConfigError(f"users file {self._path} cannot be read: {error.strerror}") from error
            mark = (found.st_mtime_ns, found.st_ino, found.st_size)
            if mark != self._mark:
                self._users = read_users(self._path)  # raises: then it is read again by the next who asks
                self._tokens = _tokens(self._users)
                self._known.clear()
                self._mark = mark
            self._looked = self._clock()


class _Remembered:
    """Passwords that were right: their keyed hashes, each until its time is over; at most `most`."""

    def __init__(self, seconds: float, clock: Callable[[], float], most: int = 1024) -> None:
        self._seconds, self._clock, self._most = seconds, clock, most
        self._key = secrets.token_bytes(32)
        self._until: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, *parts: str) -> None:
        with self._lock:
            self._until[self._hash(parts)] = self._clock() + self._seconds
            while len(self._until) > self._most:
                self._until.popitem(last=False)

    def holds(self, *parts: str) -> bool:
        with self._lock:
            return self._until.get(self._hash(parts), -float("inf")) > self._clock()

    def clear(self) -> None:
        with self._lock:
            self._until.clear()

    def _hash(self, parts: tuple[str, ...]) -> bytes:
        given = "\0".join(f"{len(part)}:{part}" for part in parts)
        return hashlib.blake2b(given.encode("utf-8", "surrogatepass"), key=self._key).digest()


def new_token() -> str:
    """256 random bits, with a beginning by which people and scanners know what it is."""
    return f"gct_{secrets.token_urlsafe(32)}"


def token_hash(token: str) -> str:
    """What is kept of a token. It is random, so a fast hash hides it."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _tokens(users: UsersFile) -> dict[str, tuple[str, date]]:
    return {token.sha256: (name, token.expires) for name, user in users.users.items() for token in user.tokens}


def _principal(name: str, user: User | None) -> Principal:
    if user is None or user.disabled:
        raise NotAuthenticated(_WRONG)
    return Principal(name, user.role, user.jobs, user.masked, user.projects)


def _decode(encoded: str) -> tuple[str, str]:
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise NotAuthenticated(_WRONG) from None
    if not colon:
        raise NotAuthenticated(_WRONG)
    return name, password
