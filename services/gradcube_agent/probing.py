"""How long it takes to reach things, measured beside the sampling: targets in; once a round, what was found of each."""

import os
import socket
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gradcube_agent.targets import Target

WRITTEN_BYTES = 512
"""A sector: what the store's metadata and sync take is wanted, not its throughput."""

Found = list[dict[str, Any]]
"""Entries of ResourceSample.reach."""


def reach_seconds(target: Target, timeout_seconds: float) -> float | None:
    """Seconds to an open connection, with the look-up of the name, or to a synced small file; None for no success.

    The file has no name that anybody else sees, and is gone even when the process is killed. A look-up or a folder that
    hangs can hold this up beyond the time-out.
    """
    started = time.perf_counter()
    try:
        if isinstance(target.place, Path):
            _write(target.place)
        else:
            socket.create_connection((target.place.host, target.place.port), timeout_seconds).close()
    except (OSError, UnicodeError):  # the latter for a name that no look-up can be asked for
        return None
    return time.perf_counter() - started


class Prober:
    """Probes `targets()` from `start` to `close`, all at once every interval, in daemon threads of their own.

    A target whose last probe still hangs counts as not reached and gets no second thread: there are never more threads
    than targets, and whoever calls `take` waits for none of them.
    """

    def __init__(
        self,
        targets: Callable[[], Sequence[Target]],
        *,
        interval_seconds: float,
        timeout_seconds: float,
        probe: Callable[[Target, float], float | None] = reach_seconds,
    ) -> None:
        self.latest: Found = []
        """Of the last round."""
        self._targets = targets
        self._interval_seconds = interval_seconds
        self._timeout_seconds = timeout_seconds
        self._probe = probe
        self._hanging: dict[Target, _Probe] = {}
        self._fresh: deque[Found] = deque(maxlen=1)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prober", daemon=True)

    def start(self) -> None:
        """Begins with a round."""
        self._thread.start()

    def close(self) -> None:
        """Begins no further round; what hangs is left to hang."""
        self._stopped.set()
        self._thread.join(2 * self._timeout_seconds)

    def take(self) -> Found:
        """What the last round found, the first time that one asks; then nothing until the next round."""
        try:
            return self._fresh.popleft()
        except IndexError:
            return []

    def round(self) -> Found:
        """Probes all targets once, for no longer than the time-out."""
        self._hanging = {target: probe for target, probe in self._hanging.items() if probe.is_alive()}
        targets = list(dict.fromkeys(self._targets()))
        probes = {
            target: _Probe(self._probe, target, self._timeout_seconds)
            for target in targets
            if target not in self._hanging
        }
        for probe in probes.values():
            probe.start()
        deadline = time.monotonic() + self._timeout_seconds
        for target, probe in probes.items():
            probe.join(max(0.0, deadline - time.monotonic()))
            if probe.is_alive():
                self._hanging[target] = probe
        return [
            {
                "dependency": target.dependency.upper(),
                "name": target.name,
                "seconds": None if target in self._hanging else probes[target].seconds,
            }
            for target in targets
        ]

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.latest = self.round()
            self._fresh.append(self.latest)
            self._stopped.wait(self._interval_seconds)


class _Probe(threading.Thread):
    """One probe of one target; `seconds` once it has ended well."""

    def __init__(self, probe: Callable[[Target, float], float | None], target: Target, timeout_seconds: float) -> None:
        super().__init__(name=f"probe {target.name}", daemon=True)
        self.seconds: float | None = None
        self._measure, self._target, self._timeout_seconds = probe, target, timeout_seconds

    def run(self) -> None:
        self.seconds = self._measure(self._target, self._timeout_seconds)


def _write(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        file.write(bytes(WRITTEN_BYTES))
        os.fsync(file.fileno())
