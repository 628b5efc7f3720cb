"""Landlock, the kernel's own file wall for a process: below one directory it may read, elsewhere nothing at all."""

import ctypes
import os
import struct
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_GET_ABI, _PATH_BENEATH = 1, 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_FS_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # number of file rights that an ABI knows (linux/landlock.h)
_NET_RIGHTS = 0b11  # bind and connect TCP, since ABI 4
_SCOPES = 0b11  # abstract sockets and signals to other processes, since ABI 6

_libc = ctypes.CDLL(None, use_errno=True)


def restrict_to(directory: Path) -> str:
    """Says "active ..." or "inactive: why". Only this thread and those it starts are held, so it comes first.

    Raises OSError when the directory cannot be opened.
    """
    abi = _libc.syscall(_CREATE_RULESET, None, 0, _GET_ABI)
    if abi < 1:
        return f"inactive: {os.strerror(ctypes.get_errno())}"
    if len(os.listdir("/proc/self/task")) != 1:
        return "inactive: other threads run already"
    beneath = os.open(directory, os.O_PATH | os.O_CLOEXEC)
    try:
        _restrict(abi, beneath)
    except OSError as error:
        return f"inactive: {error.strerror}"
    finally:
        os.close(beneath)
    return f"active (ABI {abi})"


def _restrict(abi: int, beneath: int) -> None:
    ruleset = _ruleset(abi)
    try:
        rule = struct.pack("=Qi", _READ_FILE | _READ_DIR, beneath)
        _checked(_libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0))
        _checked(_libc.syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _ruleset(abi: int) -> int:
    rights = (1 << _FS_RIGHTS.get(abi, 16)) - 1
    attributes = struct.pack("QQQ", rights, _NET_RIGHTS, _SCOPES)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    return _checked(_libc.syscall(_CREATE_RULESET, attributes, size, 0))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
