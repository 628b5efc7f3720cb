"""The walls that the kernel keeps around a child process, in the order in which they must go up."""

import ctypes
import os
import resource
from pathlib import Path

from gradcube.cube.sandbox.landlock import restrict_to
from gradcube.cube.sandbox.seccomp import refuse_calls

_SET_NO_NEW_PRIVS, _SET_DUMPABLE = 38, 4
_NOFILE = 4096
_HEADROOM_BYTES = 512 * 2**20  # stacks, arenas and Arrow's copies beside what DuckDB counts

_libc = ctypes.CDLL(None, use_errno=True)


def confine(directory: Path, memory_bytes: int) -> dict[str, str]:
    """Each wall and whether it stands: "active" or "inactive: why". Call it in a process with one thread."""
    walls = {"no_new_privileges": _no_new_privileges()}
    walls["rlimits"] = _limit(memory_bytes)
    walls["landlock"] = restrict_to(directory)
    walls["seccomp"] = refuse_calls()
    return walls


def limit_cpu(seconds: float) -> None:
    """From now on at most so many seconds of processor time, should nobody be left to kill this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(usage.ru_utime + usage.ru_stime + seconds) + 1, hard))


def _no_new_privileges() -> str:
    failed = _libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or _libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    return f"inactive: {os.strerror(ctypes.get_errno())}" if failed else "active"


def _limit(memory_bytes: int) -> str:
    most = _address_space_bytes() + 2 * memory_bytes + _HEADROOM_BYTES
    for kind, value in (
        (resource.RLIMIT_AS, most),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _NOFILE),
    ):
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
    return "active"


def _address_space_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()
