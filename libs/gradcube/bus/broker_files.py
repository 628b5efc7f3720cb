"""The broker's program: Java 17 and Kafka's jars, fetched once through Maven into the user's cache folder."""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gradcube.errors import ConfigError

KAFKA_VERSION = "4.3.1"
BROKER_FILES = Path(__file__).parent / "broker"
JAVA_RELEASE = 17
INSTALL_JAVA = "install a JDK 17 (Debian: apt install openjdk-17-jdk-headless) or set JAVA_HOME"
INSTALL_MAVEN = "install Maven (Debian: apt install maven)"


def cache_dir() -> Path:
    """The user's cache folder for gradcube: XDG_CACHE_HOME/gradcube, or ~/.cache/gradcube."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gradcube"


def fetch_broker(progress: Callable[[str], None] | None = None) -> Path:
    """The folder with Kafka's jars, fetched when it isn't there yet (about 45 MB).

    Two processes may call it at once: one fetches, the other waits. Raises ConfigError that says what to install.
    """
    jars = cache_dir() / f"kafka-{KAFKA_VERSION}"
    if jars.is_dir():
        return jars
    jars.parent.mkdir(parents=True, exist_ok=True)
    with locked(jars.with_suffix(".lock")):
        if not jars.is_dir():
            if progress:
                progress(f"fetching Kafka {KAFKA_VERSION} through Maven into {jars}")
            _fetch(jars)
    return jars


def java_command() -> str:
    """The path of a Java of release 17 or newer. Raises ConfigError that says what to install."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    if java is None:
        raise ConfigError(f"no java {'in JAVA_HOME ' + home if home else 'on the PATH'}: {INSTALL_JAVA}")
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    release = re.search(r'version "(\d+)', answer)
    if release is None or int(release[1]) < JAVA_RELEASE:
        raise ConfigError(f"{java} is not Java {JAVA_RELEASE} or newer ({answer.strip()[:80]!r}): {INSTALL_JAVA}")
    return java


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time within the block."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released by the system however the process ends
        yield


def _fetch(jars: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise ConfigError(f"Kafka {KAFKA_VERSION} is not in {jars} and there is no mvn to fetch it: {INSTALL_MAVEN}")
    java_command()
    with tempfile.TemporaryDirectory(prefix=f"{jars.name}.part-", dir=jars.parent) as scratch:
        target = Path(scratch) / "lib"
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={target}"]
        # The project file is copied because Maven may write beside it and the package may be read-only.
        pom = shutil.copy(BROKER_FILES / "pom.xml", scratch)
        done = subprocess.run([maven, "-q", "-B", "-f", pom, *goal], capture_output=True, text=True, check=False)
        if done.returncode != 0 or not target.is_dir():
            tail = (done.stdout + done.stderr).strip()[-800:]
            raise ConfigError(f"Maven could not fetch Kafka {KAFKA_VERSION}; check its mirror and network: {tail}")
        target.rename(jars)
