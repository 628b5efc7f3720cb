"""`python -m gradcube.cli.throttle PID SHARE`: lets another process run only SHARE of the time, until TERM.

The process is stopped and continued in short turns, as under a noisy neighbour or a CPU limit. It knows nothing of it.
Whatever happens, the last thing it gets is SIGCONT.
"""

import contextlib
import os
import signal
import sys
import time
from types import FrameType

PERIOD_SECONDS = 0.04


def throttle(pid: int, share: float) -> None:
    """Duty-cycles `pid` until it ends or we are told to stop."""
    running_seconds = PERIOD_SECONDS * share
    try:
        while True:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(PERIOD_SECONDS - running_seconds)
            os.kill(pid, signal.SIGCONT)
            time.sleep(running_seconds)
    except ProcessLookupError:
        return  # the process has ended: nothing left to slow
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> int:
    """Reads PID and SHARE (above 0, below 1) from the command line."""
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)  # noqa: T201 - usage of a command
        return 64
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    throttle(int(sys.argv[1]), float(sys.argv[2]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
