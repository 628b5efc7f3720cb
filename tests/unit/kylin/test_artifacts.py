import hashlib
from pathlib import Path

import pytest

from gradcube.errors import ConfigError
from gradcube.kylin import artifacts
from gradcube.kylin.artifacts import Artifact, fetch, java_dir, read_lock

JAR = b"a jar"
DIGEST = hashlib.sha256(JAR).hexdigest()
LOCK = f"# words\n\norg.one:first:1.0 {DIGEST}\norg.two:second:2.0:all {DIGEST}\n"
# Copies what the test has laid out, as Maven's goal does; the last argument names the folder.
MAVEN = """#!/bin/sh
for last; do :; done
cp "$4" "$(dirname "$0")/pom.seen"
mkdir -p "${last#-DoutputDirectory=}" && cp "$(dirname "$0")"/jars/* "${last#-DoutputDirectory=}"
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that `mvn` takes its jars from, with those of LOCK in it."""
    launcher, folder = tmp_path / "launcher", tmp_path / "bin" / "jars"
    launcher.mkdir()
    folder.mkdir(parents=True)
    (launcher / "artifacts.lock").write_text(LOCK)
    for name in ("first-1.0.jar", "second-2.0-all.jar"):
        (folder / name).write_bytes(JAR)
    maven = tmp_path / "bin" / "mvn"
    maven.write_text(MAVEN)
    maven.chmod(0o755)
    monkeypatch.setattr(artifacts, "java_dir", lambda: launcher)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def test_shipped_lock_names_kylin_and_nothing_twice() -> None:
    found = read_lock(java_dir() / "artifacts.lock")
    assert Artifact("org.apache.kylin", "kylin-server-base", "3.1.3", "", found[0].sha256).name in {
        a.name for a in found
    }
    assert len({(one.group, one.name) for one in found}) == len(found) == 69
    assert len({one.file_name for one in found}) == len(found)


def test_jars_are_fetched_once_and_alone(repository: Path) -> None:
    said: list[str] = []
    jars = fetch(said.append)
    assert sorted(path.name for path in jars.iterdir()) == ["first-1.0.jar", "second-2.0-all.jar"]
    assert fetch(said.append) == jars
    assert len(said) == 1
    pom = (repository.parent / "pom.seen").read_text()
    assert "<artifactId>second</artifactId><version>2.0</version><classifier>all</classifier><exclusions>" in pom


def test_other_file_than_the_locked_one_is_refused_and_not_kept(repository: Path) -> None:
    (repository / "first-1.0.jar").write_bytes(b"another jar")
    with pytest.raises(ConfigError, match=r"first-1\.0\.jar has the SHA-256 .*, locked is "):
        fetch()
    (repository / "first-1.0.jar").write_bytes(JAR)
    assert fetch().is_dir()


def test_jar_that_is_not_locked_is_refused(repository: Path) -> None:
    (repository / "stranger-1.jar").write_bytes(JAR)
    with pytest.raises(ConfigError, match=r"stranger-1\.jar, which is not locked"):
        fetch()


def test_without_maven_it_is_said_what_to_install(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    with pytest.raises(ConfigError, match="no mvn to fetch it: install Maven"):
        fetch()


@pytest.mark.parametrize("line", ["org.one:first 12", f"a:b {DIGEST}", "a:b:1 short", f"a:b:1:c:d {DIGEST}"])
def test_bad_line_of_a_lock_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "artifacts.lock"
    path.write_text(f"# first\n{line}\n")
    with pytest.raises(ConfigError, match=r"artifacts\.lock:2: "):
        read_lock(path)
