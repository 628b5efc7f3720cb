"""Clients of other people's, fetched once into the user's cache: Kylin's JDBC driver, and Superset with SQLAlchemy 1.4.

Where one cannot be fetched its tests are skipped with the reason; in CI they fail.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from gradcube.bus.broker_files import cache_dir

ROOT = Path(__file__).parents[3]
JDBC = Path(__file__).parent / "jdbc"
SUPERSET_LOCK = ROOT / "requirements" / "superset.txt"


def jdbc_jars() -> Path:
    """The folder with Kylin's JDBC driver 3.1.3 and what it needs on Java 17, each of the hash that we know."""
    jars = _cached("kylin-jdbc-3.1.3", _fetch_jdbc)
    for line in (JDBC / "SHA256SUMS").read_text().splitlines():
        expected, name = line.split()
        found = hashlib.sha256((jars / name).read_bytes()).hexdigest()
        assert found == expected, f"{jars / name} is {found}; remove {jars}"
    return jars


def superset_python() -> Path:
    """The Python of an environment with Superset, installed from requirements/superset.txt."""
    lock = hashlib.sha256(SUPERSET_LOCK.read_bytes()).hexdigest()[:12]
    return _cached(f"superset-{lock}", _install_superset) / "bin" / "python"


def write_entry_points(directory: Path) -> Path:
    """A folder that on the path of any Python declares pyproject.toml's dialects, as an installed gradcube does."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["sqlalchemy.dialects"]
    folder = directory / "gradcube_dialects-0.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: gradcube-dialects\nVersion: 0\n")
    lines = [f"{name} = {place}" for name, place in declared.items()]
    (folder / "entry_points.txt").write_text("\n".join(["[sqlalchemy.dialects]", *lines, ""]))
    return directory


def run_in_superset(script: Path, arguments: list[str], directory: Path, **variables: str) -> str:
    """The script's stdout, run by Superset's Python with our library on its path. Its failure is ours."""
    path = os.pathsep.join([str(ROOT / "libs"), str(write_entry_points(directory)), str(ROOT)])
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "PYTHONPATH": path, **variables}
    done = subprocess.run(
        [superset_python(), str(script), *arguments],
        env=environment, cwd=directory, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def _cached(name: str, fetch: Callable[[Path], None]) -> Path:
    target = cache_dir() / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.with_name(f"{name}.lock")):
        done = target / ".fetched"
        if not done.exists():
            shutil.rmtree(target, ignore_errors=True)
            fetch(target)
            done.touch()
    return target


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch_jdbc(target: Path) -> None:
    maven = shutil.which("mvn") or cannot("there is no mvn to fetch Kylin's JDBC driver with")
    target.mkdir()
    pom = shutil.copy(JDBC / "pom.xml", target)
    # -C: a download whose checksum differs from the repository's fails.
    _run([maven, "-q", "-B", "-C", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={target}"])


def _install_superset(target: Path) -> None:
    uv = Path(sys.executable).parent / "uv"
    if not uv.exists():
        cannot("there is no uv beside this Python to install Superset with")
    _run([str(uv), "venv", "-q", "--no-python-downloads", "--python", "3.11", str(target)])
    python = str(target / "bin" / "python")
    _run([str(uv), "pip", "sync", "-q", "--python", python, "--require-hashes", str(SUPERSET_LOCK)])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        cannot(f"{command[0]} failed: {(done.stdout + done.stderr).strip()[-800:]}")


def cannot(reason: str) -> NoReturn:
    """Skips the test with the reason; in CI, where nobody reads of skips, it fails."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
