"""Fetching the broker's jars: once, whole, and with clear words when something is missing."""

import subprocess
import sys
from pathlib import Path

import pytest

from gradcube.bus.broker_files import KAFKA_VERSION, cache_dir, fetch_broker, java_command
from gradcube.errors import ConfigError

JAVA = """#!/bin/sh
echo 'openjdk version "{release}.0.1" 2025-04-15' >&2
"""
# Stands for Maven: notes the call, takes a moment, puts one jar where it was told.
MAVEN = """#!/bin/sh
echo called >> "{calls}"
for argument in "$@"; do case "$argument" in -DoutputDirectory=*) lib="${{argument#*=}}";; esac; done
mkdir -p "$lib"; : > "$lib/half.jar"; /bin/sleep 0.5; : > "$lib/kafka.jar"
"""
FETCH = "from gradcube.bus.broker_files import fetch_broker; print(fetch_broker())"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of our own, and an empty cache."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "mkdir"):
        (folder / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    return folder


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def test_two_processes_at_once_fetch_once(programs: Path, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    _program(programs / "java", JAVA.format(release=17))
    _program(programs / "mvn", MAVEN.format(calls=calls))
    processes = [subprocess.Popen([sys.executable, "-c", FETCH], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert answers == {str(tmp_path / "cache" / "gradcube" / f"kafka-{KAFKA_VERSION}")}
    assert calls.read_text() == "called\n"
    assert {jar.name for jar in fetch_broker().iterdir()} == {"half.jar", "kafka.jar"}


def test_progress_is_told_only_when_something_is_fetched(programs: Path, tmp_path: Path) -> None:
    _program(programs / "java", JAVA.format(release=17))
    _program(programs / "mvn", MAVEN.format(calls=tmp_path / "calls"))
    told: list[str] = []
    fetch_broker(told.append)
    fetch_broker(told.append)
    assert len(told) == 1
    assert KAFKA_VERSION in told[0]


def test_failed_fetch_leaves_nothing_and_tells_mavens_words(programs: Path) -> None:
    _program(programs / "java", JAVA.format(release=21))
    _program(programs / "mvn", "#!/bin/sh\necho could not resolve; exit 1\n")
    with pytest.raises(ConfigError, match="could not resolve"):
        fetch_broker()
    assert [path.name for path in cache_dir().iterdir() if path.is_dir()] == []


def test_missing_maven_and_missing_or_old_java_say_what_to_install(programs: Path) -> None:
    with pytest.raises(ConfigError, match="apt install maven"):
        fetch_broker()
    with pytest.raises(ConfigError, match="apt install openjdk-17"):
        java_command()
    _program(programs / "java", JAVA.format(release=11))
    with pytest.raises(ConfigError, match=r"not Java 17 or newer .*11\.0\.1"):
        java_command()
