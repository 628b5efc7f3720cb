"""Our Java sources in, a folder of classes out: compiled once for each state of them, with the JDK that runs them."""

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from gradcube.bus.broker_files import INSTALL_JAVA, cache_dir, java_command, locked
from gradcube.errors import ConfigError
from gradcube.kylin.artifacts import java_dir

_RELEASE = "8"
"""Spring 4.3, which scans these classes, reads no newer ones."""


def compiled(jars: Path) -> Path:
    """The folder with our classes, to stand before Kylin's jars. Raises ConfigError without a JDK's javac."""
    sources = sorted((java_dir() / "java").rglob("*.java"))
    state = hashlib.sha256(jars.name.encode())
    for source in sources:
        state.update(source.read_bytes())
    classes = cache_dir() / f"kylin-classes-{state.hexdigest()[:12]}"
    if not classes.is_dir():
        with locked(classes.with_suffix(".lock")):
            if not classes.is_dir():
                _compile(sources, jars, classes)
    return classes


def _compile(sources: list[Path], jars: Path, classes: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=f"{classes.name}.part-", dir=classes.parent) as scratch:
        target = Path(scratch) / "classes"
        options = ["-nowarn", "-Xlint:-options", "--release", _RELEASE, "-encoding", "UTF-8"]
        command = [_javac(), *options, "-cp", f"{jars}/*", "-d", str(target), *map(str, sources)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ConfigError(f"Kylin's launcher does not compile with {command[0]}: {done.stderr.strip()[-800:]}")
        target.rename(classes)


def _javac() -> str:
    java = Path(java_command()).resolve()
    javac = shutil.which("javac", path=str(java.parent)) or shutil.which("javac")
    if javac is None:
        raise ConfigError(f"{java} is of a JRE, and Kylin's launcher is compiled here: {INSTALL_JAVA}")
    return javac
