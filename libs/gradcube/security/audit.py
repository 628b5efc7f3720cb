"""Entries in, a hash-linked file of them on the disk out, by one thread that writes for all.

The queue is bounded and, when it is full, blocks: nothing is dropped. What cannot be written in time raises AuditError,
and the gateway gives no answer that is not recorded.
"""

import fcntl
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self, TextIO

import structlog

from gradcube.errors import AuditError, ConfigError
from gradcube.security.audit_entry import Entry
from gradcube.security.audit_file import AuditFile
from gradcube.security.secret_files import load_or_make

_log = structlog.get_logger(__name__)
_BATCH = 1000


@dataclass(frozen=True)
class AuditSettings:
    """`queue_entries` may wait for the writer, each for at most `patience_seconds`.

    The head is signed every `sign_every` lines, at a rotation and at close. The disk is waited for at most every
    `fsync_seconds`: so much a power loss can take, while the end of the process alone takes nothing that was written.
    """

    sign_every: int = 1000
    rotate_bytes: int = 64 * 2**20
    fsync_seconds: float = 1.0
    queue_entries: int = 10_000
    patience_seconds: float = 5.0


class AuditLog:
    """`with AuditLog.open(file, key_file) as audit: audit.record(Entry(...))`. One per file: another is refused."""

    def __init__(
        self, path: Path, key: bytes, settings: AuditSettings | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings, self._clock = settings or AuditSettings(), clock
        self._queue: queue.Queue[Entry | threading.Event | None] = queue.Queue(self._settings.queue_entries)
        self._closing = threading.Event()
        self._broken: str | None = None
        self._lost = 0
        self._lock = _exclusive(path)
        try:
            self._file = AuditFile(path, key, self._settings.sign_every, self._settings.rotate_bytes, clock)
        except BaseException:
            self._lock.close()
            raise
        self._writer = threading.Thread(target=self._run, name="audit", daemon=True)
        self._writer.start()

    @classmethod
    def open(cls, path: Path, key_file: Path, settings: AuditSettings | None = None) -> Self:
        """Makes the key (mode 600) and the folder when they are not there. Raises ConfigError and AuditError."""
        key = load_or_make(key_file, "audit key file").encode()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"audit folder {path.parent} cannot be made: {error.strerror}") from error
        return cls(path, key, settings)

    def record(self, entry: Entry) -> None:
        """Hands it to the writer. Raises AuditError when the writer does not keep up, or after `close`."""
        self._put(entry)

    def flush(self) -> None:
        """Returns when all that was recorded before is on the disk. Raises AuditError."""
        done = threading.Event()
        self._put(done)
        if not done.wait(self._settings.patience_seconds):
            raise AuditError(f"the audit chain is not on the disk: {self._broken or 'the disk does not keep up'}")

    def close(self) -> None:
        """Signs the head; nobody may record any more. Raises AuditError, with what is lost, if the disk is broken."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._queue.put(None)
        self._writer.join()
        self._lock.close()
        if self._broken is not None or self._lost:
            raise AuditError(f"the audit chain ends without {self._lost} entries or without its head: {self._broken}")

    @property
    def broken(self) -> str | None:
        """Why the disk does not take entries now, for /ready."""
        return self._broken

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _put(self, item: Entry | threading.Event) -> None:
        try:
            if self._closing.is_set():
                raise queue.Full
            self._queue.put(item, timeout=self._settings.patience_seconds)
        except queue.Full:
            raise AuditError(f"the audit chain cannot be written: {self._broken or 'it is closed or full'}") from None

    def _run(self) -> None:
        unsynced_since: float | None = None
        while True:
            batch, flushed, last = self._take(unsynced_since)
            if batch:
                self._lost += 0 if self._persist(partial(self._file.append, batch)) else len(batch)
                unsynced_since = unsynced_since or time.monotonic()
            due = unsynced_since and time.monotonic() - unsynced_since >= self._settings.fsync_seconds
            if (due or flushed) and self._persist(self._file.sync):
                unsynced_since = None
                for event in flushed:
                    event.set()
            if last:
                self._persist(self._file.close)
                return

    def _take(self, unsynced_since: float | None) -> tuple[list[Entry], list[threading.Event], bool]:
        """Everything that waits, as one batch; without any, when it is time to sync."""
        wait = None
        if unsynced_since is not None:
            wait = max(unsynced_since + self._settings.fsync_seconds - time.monotonic(), 0)
        items = []
        try:
            items.append(self._queue.get(timeout=wait))
            while len(items) < _BATCH:
                items.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        entries = [item for item in items if isinstance(item, Entry)]
        return entries, [item for item in items if isinstance(item, threading.Event)], None in items

    def _persist(self, write: Callable[[], None]) -> bool:
        """Tries until it is done, while others block; at close only once more."""
        while True:
            try:
                write()
            except OSError as error:
                if self._broken is None:
                    _log.error("audit_not_written", reason=error.strerror)
                self._broken = error.strerror or str(error)
                if self._closing.wait(1.0):
                    return False
            else:
                self._broken = None
                return True


def _exclusive(path: Path) -> TextIO:
    """The lock on the chain, held while the object is open."""
    lock = path.with_name(f".{path.name}.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise ConfigError(f"audit file {path} is written by another process; give each gateway its own") from error
    return lock
