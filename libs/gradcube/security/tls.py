"""Certificate and key files in, an ssl.SSLContext for a server out that takes up new files by itself.

For uvicorn: `Config(..., ssl_context_factory=lambda config, default: server_context(cert, key))`.
"""

import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from gradcube.errors import ConfigError
from gradcube.security.secret_files import read_secret

_log = structlog.get_logger(__name__)


def server_context(cert_file: Path, key_file: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer. Raises ConfigError for files that are missing, open to others, or no pair.

    Each handshake looks whether the files have changed, so that a renewed certificate needs no restart; a pair that
    cannot be used is told in the log, and the old one goes on.
    """
    current = _Current(cert_file, key_file)
    current.context.sni_callback = current.choose
    return current.context


class _Current:
    """The newest context of the two files."""

    def __init__(self, cert_file: Path, key_file: Path) -> None:
        self._files, self._lock = (cert_file, key_file), threading.Lock()
        self._mark = self._look()
        self.context = _load(cert_file, key_file)

    def choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        with self._lock:
            mark = self._look()
            if mark != self._mark:
                self._mark = mark
                self._renew()
            connection.context = self.context

    def _renew(self) -> None:
        try:
            self.context = _load(*self._files)
            _log.info("certificate_renewed", file=str(self._files[0]))
        except ConfigError as error:
            _log.error("certificate_not_renewed", reason=str(error))

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_mark(path) for path in self._files]


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _load(cert_file: Path, key_file: Path) -> ssl.SSLContext:
    read_secret(key_file, "TLS key file")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without the callback OpenSSL would ask the terminal for the password of an encrypted key.
        context.load_cert_chain(cert_file, key_file, password=_no_password(key_file))
    except FileNotFoundError as error:
        raise ConfigError(f"TLS certificate file {cert_file} is not there") from error
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or error.strerror or error
        raise ConfigError(
            f"TLS certificate {cert_file} and key {key_file} cannot be used: {reason}; give a pair in PEM"
        ) from error
    return context


def _no_password(key_file: Path) -> Callable[[], str]:
    def refuse() -> str:
        raise ConfigError(f"TLS key file {key_file} is encrypted; store it without a password, with mode 600")

    return refuse
