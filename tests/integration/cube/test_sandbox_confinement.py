"""The kernel's walls, tried from inside with Python, as code that had taken over the engine would."""

import subprocess
import sys
from pathlib import Path

import pytest

TRIES = {
    "read a file outside": "open('/etc/passwd').read()",
    "list a directory outside": "os.listdir('/')",
    "write below the store": "open(os.path.join(store, 'new'), 'w')",
    "append to a file of the store": "open(os.path.join(store, 'a'), 'a')",
    "delete a file of the store": "os.unlink(os.path.join(store, 'a'))",
    "rename a file of the store": "os.rename(os.path.join(store, 'a'), os.path.join(store, 'b'))",
    "make a directory": "os.mkdir(os.path.join(store, 'd'))",
    "change a mode": "os.chmod(os.path.join(store, 'a'), 0o777)",
    "open a TCP socket": "socket.socket()",
    "open a UDP socket": "socket.socket(type=socket.SOCK_DGRAM)",
    "open a pair": "socket.socketpair()",
    "run a program": "os.execv('/bin/true', ['true'])",
    "fork": "os.fork()",
    "spawn": "subprocess.run(['/bin/true'])",
    "signal the parent": "os.kill(os.getppid(), 0)",
    "trace the parent": "checked(libc.ptrace(16, os.getppid(), 0, 0))",
    "mount": "checked(libc.mount(b'none', b'/mnt', b'tmpfs', 0, None))",
    "a file in memory": "os.memfd_create('x')",
    "become somebody": "os.setuid(1)",
    "own namespace": "checked(libc.unshare(0x10000000))",
}
SCRIPT = """
import ctypes, os, socket, subprocess, sys, threading
from pathlib import Path
from gradcube.cube.sandbox.confinement import confine
store, without = sys.argv[1], sys.argv[2]
if without:
    import gradcube.cube.sandbox.confinement as module
    setattr(module, without, lambda *_: "inactive: left out")
libc = ctypes.CDLL(None, use_errno=True)
def checked(code):
    if code < 0: raise OSError(ctypes.get_errno(), "refused")
tries = eval(sys.stdin.read())
walls = confine(Path(store), 2**28)
print(walls)
for name, code in tries.items():
    try:
        exec(code)
        print("DONE", name)
    except OSError:
        pass
print(open(os.path.join(store, "a")).read())
threading.Thread(target=print, args=("thread",)).start()
"""


def _run(store: Path, without: str = "", tries: dict[str, str] = TRIES) -> list[str]:
    (store / "a").write_text("kept")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(store), without],
        input=repr(tries), capture_output=True, text=True, check=True, timeout=60,
        env={"PYTHONPATH": ":".join(sys.path), "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    return done.stdout.splitlines()


def test_nothing_but_reading_below_the_store_is_left(tmp_path: Path) -> None:
    walls, *lines = _run(tmp_path)
    if "inactive" in walls:
        pytest.skip(f"this kernel lacks a wall: {walls}")
    assert lines == ["kept", "thread"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_kernel_without_landlock_still_refuses_all_but_reading(tmp_path: Path) -> None:
    walls, *lines = _run(tmp_path, without="restrict_to")
    if "'seccomp': 'active'" not in walls:
        pytest.skip(f"this kernel lacks seccomp: {walls}")
    assert lines == ["DONE read a file outside", "DONE list a directory outside", "kept", "thread"]


def test_kernel_without_seccomp_still_refuses_files(tmp_path: Path) -> None:
    files = {name: code for name, code in TRIES.items() if "store" in name or "outside" in name or "directory" in name}
    walls, *lines = _run(tmp_path, "refuse_calls", files)
    if "'landlock': 'active" not in walls:
        pytest.skip(f"this kernel lacks Landlock: {walls}")
    assert lines == ["kept", "thread"]
