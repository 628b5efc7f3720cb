"""A worker is slowed while the `with` block runs, by a separate process that knows nothing of gradcube."""

import os
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from gradcube.cli import processes


class Slowdown:
    """`with Slowdown(pid, 0.31, log): ...`; afterwards the worker runs freely, whatever happened."""

    def __init__(self, pid: int, share: float, log: Path) -> None:
        self._pid = pid
        self._command = [sys.executable, "-m", "gradcube.cli.throttle", str(pid), str(share)]
        self._log = log

    def __enter__(self) -> Self:
        self._process, _ = processes.start("throttle", self._command, env={}, log=self._log, with_parent=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        processes.stop([self._process], timeout_seconds=5)
        try:
            os.kill(self._pid, signal.SIGCONT)
        except ProcessLookupError:
            return  # the worker has ended: nothing to release
