"""Writes checkpoints from a thread, so that no trainer waits for the disk."""

import threading

import structlog

from gradcube.sync.checkpoints import CheckpointStore, Snapshot

log = structlog.get_logger(__name__)


class Checkpointer:
    """Holds at most one snapshot that waits; a newer one takes its place.

    A full or broken disk is logged and counted; training goes on without checkpoints.
    """

    def __init__(self, store: CheckpointStore) -> None:
        self._store = store
        self._waiting: Snapshot | None = None
        self._changed = threading.Condition()
        self._closed = False
        self.version = -1
        """The newest version on disk that this process wrote or resumed from."""
        self.written_version = -1
        """The newest that this process wrote."""
        self.num_failures = 0
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def offer(self, snapshot: Snapshot) -> None:
        """Takes a snapshot without waiting for the disk."""
        with self._changed:
            self._waiting = snapshot
            self._changed.notify()

    def close(self, last: Snapshot | None) -> None:
        """Writes what waits, then `last`."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        if last is not None and last.version != self.version:
            self._write(last)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting is not None or self._closed)
                snapshot, self._waiting = self._waiting, None
            if snapshot is None:
                return
            self._write(snapshot)

    def _write(self, snapshot: Snapshot) -> None:
        try:
            path = self._store.write(snapshot)
        except Exception as error:  # noqa: BLE001 - safetensors wraps a full disk in an error of its own
            self.num_failures += 1
            log.error("checkpoint_not_written", version=snapshot.version, error=repr(error))
            return
        self.version = self.written_version = snapshot.version
        log.info("checkpoint_written", version=snapshot.version, path=str(path))
