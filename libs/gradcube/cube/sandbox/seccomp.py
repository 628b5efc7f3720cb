"""A seccomp filter: the system calls that a reader of files and a socket never makes are refused by the kernel.

It refuses sockets, programs, processes, signals to others, mounts, keys, tracing, other clocks and users, and every
way to make or change a file; also where the kernel has no Landlock.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable

# Numbers on (x86_64, aarch64), None where an architecture lacks the call: asm/unistd_64.h and asm-generic/unistd.h.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    "socket": (41, 198), "socketpair": (53, 199), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202),
    "accept4": (288, 242), "connect": (42, 203), "sendmsg": (46, 211), "sendmmsg": (307, 269),
    "recvmsg": (47, 212), "recvmmsg": (299, 243),
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kill": (62, 129), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "setns": (308, 268),
    "unshare": (272, 97), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "reboot": (169, 142), "swapon": (167, 224),
    "swapoff": (168, 225), "sethostname": (170, 161), "setdomainname": (171, 162), "acct": (163, 89),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266),
    "quotactl": (179, 60), "syslog": (103, 116), "personality": (135, 92), "ioperm": (173, None), "iopl": (172, None),
    "modify_ldt": (154, None), "fanotify_init": (300, 262), "memfd_create": (319, 279),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "shmget": (29, 194), "semget": (64, 190), "msgget": (68, 186),
    "creat": (85, None), "unlink": (87, None), "unlinkat": (263, 35), "rename": (82, None), "renameat": (264, 38),
    "renameat2": (316, 276), "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None), "link": (86, None),
    "linkat": (265, 37), "symlink": (88, None), "symlinkat": (266, 36), "mknod": (133, None), "mknodat": (259, 33),
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None),
    "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54), "truncate": (76, 45), "ftruncate": (77, 46),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "fremovexattr": (199, 16), "utimensat": (280, 88),
    "setuid": (105, 146), "setgid": (106, 144), "setreuid": (113, 145), "setregid": (114, 143),
    "setresuid": (117, 147), "setresgid": (119, 149), "setgroups": (116, 159), "capset": (126, 91),
}  # fmt: skip
_ABSENT = {
    "clone3": (435, 435),
    "openat2": (437, 437),
}  # their arguments lie in memory; libc falls back to the old call
_OPEN, _OPENAT, _CLONE, _TGKILL = (2, None), (257, 56), (56, 220), (234, 131)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CLONE_THREAD = 0x0001_0000

_ARCHITECTURES = {"x86_64": (0, 0xC000_003E, 317), "aarch64": (1, 0xC000_00B7, 277)}  # index, AUDIT_ARCH_*, seccomp(2)
_X32_BIT = 0x4000_0000
_LOAD, _JUMP_EQUAL, _JUMP_GE, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # linux/bpf_common.h
_ALLOW, _KILL, _ERRNO = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
_SET_FILTER, _ALL_THREADS = 1, 1
_NR, _ARCH, _ARGS = 0, 4, 16  # offsets in struct seccomp_data; an argument's low half comes first on both

_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def refuse_calls() -> str:
    """Says "active" or "inactive: why". Needs no_new_privs; holds all threads of the process, for good."""
    known = _ARCHITECTURES.get(platform.machine())
    if known is None:
        return f"inactive: no filter for {platform.machine()}"
    index, architecture, number = known
    code = b"".join(_instructions(index, architecture))
    program = _Program(len(code) // 8, code)
    if _libc.syscall(number, _SET_FILTER, _ALL_THREADS, ctypes.byref(program)) != 0:
        return f"inactive: {os.strerror(ctypes.get_errno())}"
    return "active"


def _instructions(index: int, architecture: int) -> Iterable[bytes]:
    yield _one(_LOAD, _ARCH)
    yield _one(_JUMP_EQUAL, architecture, 1, 0)
    yield _one(_RETURN, _KILL)
    yield _one(_LOAD, _NR)
    yield _one(_JUMP_GE, _X32_BIT, 0, 1)
    yield _one(_RETURN, _ERRNO | errno.EPERM)
    yield from _when(_OPEN[index], 1, _one(_JUMP_SET, _WRITING, 0, 1))
    yield from _when(_OPENAT[index], 2, _one(_JUMP_SET, _WRITING, 0, 1))
    yield from _when(_CLONE[index], 0, _one(_JUMP_SET, _CLONE_THREAD, 1, 0))
    yield from _when(_TGKILL[index], 0, _one(_JUMP_EQUAL, os.getpid(), 1, 0))
    for numbers, code in (*((one, errno.EPERM) for one in _REFUSED.values()),
                          *((one, errno.ENOSYS) for one in _ABSENT.values())):  # fmt: skip
        if (number := numbers[index]) is not None:
            yield _one(_JUMP_EQUAL, number, 0, 1)
            yield _one(_RETURN, _ERRNO | code)
    yield _one(_RETURN, _ALLOW)


def _when(number: int | None, argument: int, refuse_if: bytes) -> Iterable[bytes]:
    """The call is refused where `refuse_if`, a jump over one instruction or none, falls on its argument."""
    if number is not None:
        yield _one(_JUMP_EQUAL, number, 0, 4)
        yield _one(_LOAD, _ARGS + 8 * argument)
        yield refuse_if
        yield _one(_RETURN, _ERRNO | errno.EPERM)
        yield _one(_RETURN, _ALLOW)


def _one(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
