"""The current file of an audit chain: bodies in, linked lines on the disk; signed heads and rotation by the way."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gradcube.errors import AuditError
from gradcube.security import audit_files
from gradcube.security.audit_chain import Chain
from gradcube.security.audit_entry import Entry, timestamp
from gradcube.security.secret_files import sync_directory

_FRAGMENT_BYTES = 1024


class AuditFile:
    """Used by one thread. A write that fails (OSError) changes nothing: the next one begins at the same place."""

    def __init__(self, path: Path, key: bytes, sign_every: int, rotate_bytes: int, clock: Callable[[], float]) -> None:
        self._path, self._key, self._clock = path, key, clock
        self._sign_every, self._rotate_bytes = sign_every, rotate_bytes
        self._chain, self._size, self._unsigned, self._stage = Chain(), 0, 0, 0
        self._file = -1
        try:
            self._open()
        except OSError as error:
            raise AuditError(f"audit file {path} cannot be written: {error.strerror}") from error

    def append(self, entries: Sequence[Entry]) -> None:
        """Links and writes them, in order. Raises OSError; then none of them is in the file."""
        if self._stage or self._size > self._rotate_bytes:
            self._rotate()
        now = self._clock()
        bodies = [entry.body(now) for entry in entries]
        self._write(bodies, sign=self._unsigned + len(bodies) >= self._sign_every)

    def sync(self) -> None:
        """Returns when the disk has it."""
        os.fsync(self._file)

    def close(self) -> None:
        """Signs the head, waits for the disk, and closes."""
        self._write([], sign=True)
        self.sync()
        os.close(self._file)

    def _write(self, bodies: Sequence[dict[str, Any]], *, sign: bool) -> None:
        chain, lines = self._chain, []
        for body in bodies:
            line, chain = chain.link(body)
            lines.append(line)
        if sign:
            line, chain = chain.sign(self._key, {"time": timestamp(self._clock())})
            lines.append(line)
        data = b"".join(lines)
        try:
            _write_all(self._file, data, self._size)
        except OSError:
            os.ftruncate(self._file, self._size)  # so that readers do not take a part of it for a crash's
            raise
        self._chain, self._size = chain, self._size + len(data)
        self._unsigned = 0 if sign else self._unsigned + len(bodies)

    def _open(self) -> None:
        """The current file, after what it holds; what a crash has torn is replaced by an entry that tells of it."""
        existing = self._path.exists()
        ended = audit_files.end(self._path) if existing else audit_files.End(audit_files.before(self._path), 0, b"")
        before, self._file = self._file, os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._begin(ended)
        except OSError:
            os.close(self._file)
            self._file = before
            raise

    def _begin(self, ended: audit_files.End) -> None:
        self._chain, self._size, self._unsigned = ended.chain, ended.size_bytes, 0
        self._first = audit_files.beginning(self._path).seq if ended.size_bytes else ended.chain.seq
        now = timestamp(self._clock())
        opened: dict[str, Any] = {"kind": "open", "time": now}
        if not ended.size_bytes:
            opened = {"kind": "start", "time": now, "previous": ended.chain.last.hex(), "version": 1}
        self._write([opened, *([_torn(ended.torn, now)] if ended.torn else [])], sign=False)
        os.ftruncate(self._file, self._size)
        os.fsync(self._file)
        sync_directory(self._path.parent)

    def _rotate(self) -> None:
        """Sign, rename, begin anew; after an error it goes on with the step that failed."""
        if self._stage == 0:
            self._write([], sign=True)
            self._stage = 1
        if self._stage == 1:
            os.fsync(self._file)
            os.rename(self._path, audit_files.rotated_name(self._path, self._first))
            self._stage = 2
        full = self._file
        self._open()
        os.close(full)
        self._stage = 0


def _torn(torn: bytes, now: str) -> dict[str, Any]:
    fragment = torn[:_FRAGMENT_BYTES].decode("ascii", "backslashreplace")
    return {"kind": "torn", "time": now, "bytes": len(torn), "fragment": fragment}


def _write_all(file: int, data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(file, data, offset)
        data, offset = data[written:], offset + written
