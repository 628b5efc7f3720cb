"""The lock of Kylin's jars in, a folder with exactly those out: fetched once through Maven, checked by SHA-256."""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from xml.sax.saxutils import escape

from gradcube.bus.broker_files import INSTALL_MAVEN, cache_dir, locked
from gradcube.errors import ConfigError

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Artifact:
    """One jar: `group:name:version[:classifier]` and its SHA-256 in hexadecimal."""

    group: str
    name: str
    version: str
    classifier: str
    sha256: str

    @property
    def file_name(self) -> str:
        """As Maven calls it."""
        return f"{self.name}-{self.version}{f'-{self.classifier}' if self.classifier else ''}.jar"


def java_dir() -> Path:
    """The launcher's folder: lock, Java sources, templates. Raises ConfigError when the gateway isn't installed."""
    found = find_spec("gradcube_cube")
    places = found.submodule_search_locations if found else None
    if not places:
        raise ConfigError("gradcube_cube is not installed here; Kylin's launcher is part of it: install gradcube[all]")
    return Path(next(iter(places))) / "kylin"


def read_lock(path: Path) -> list[Artifact]:
    """Every line that is no comment. Raises ConfigError that names the line."""
    artifacts = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        coordinate, _, digest = line.partition(" ")
        parts = coordinate.split(":")
        if len(parts) not in (3, 4) or len(digest) != hashlib.sha256().digest_size * 2:
            raise ConfigError(f"{path}:{number}: {line[:80]!r} is not group:name:version[:classifier] SHA256")
        group, name, version, *rest = parts
        artifacts.append(Artifact(group, name, version, rest[0] if rest else "", digest))
    return artifacts


def fetch(progress: Callable[[str], None] | None = None) -> Path:
    """The folder with Kylin's jars, fetched when it isn't there yet (148 MB). Two processes may call it at once.

    Raises ConfigError for a missing Maven, and for a jar that is not the locked one.
    """
    lock = java_dir() / "artifacts.lock"
    jars = cache_dir() / f"kylin-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    if jars.is_dir():
        return jars
    jars.parent.mkdir(parents=True, exist_ok=True)
    with locked(jars.with_suffix(".lock")):
        if not jars.is_dir():
            if progress:
                progress(f"fetching Kylin through Maven into {jars}")
            _fetch(read_lock(lock), jars)
    return jars


def _fetch(artifacts: Sequence[Artifact], jars: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise ConfigError(f"Kylin is not in {jars} and there is no mvn to fetch it: {INSTALL_MAVEN}")
    with tempfile.TemporaryDirectory(prefix=f"{jars.name}.part-", dir=jars.parent) as scratch:
        pom, target = Path(scratch) / "pom.xml", Path(scratch) / "lib"
        pom.write_text(_pom(artifacts), encoding="utf-8")
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={target}"]
        done = subprocess.run([maven, "-q", "-B", "-f", str(pom), *goal], capture_output=True, text=True, check=False)
        if done.returncode != 0 or not target.is_dir():
            tail = (done.stdout + done.stderr).strip()[-800:]
            raise ConfigError(f"Maven could not fetch Kylin; check its mirror and network: {tail}")
        _check(artifacts, target)
        target.rename(jars)


def _check(artifacts: Sequence[Artifact], folder: Path) -> None:
    extra = {path.name for path in folder.iterdir()} - {one.file_name for one in artifacts}
    if extra:
        raise ConfigError(f"Maven fetched {min(extra)}, which is not locked")
    for one in artifacts:
        found = _sha256(folder / one.file_name)
        if found != one.sha256:
            raise ConfigError(
                f"{one.file_name} has the SHA-256 {found}, locked is {one.sha256}: its repository serves another file; "
                "clear Maven's local repository and look at its mirror"
            )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _pom(artifacts: Sequence[Artifact]) -> str:
    """Each by itself: nothing that it depends on comes along."""
    alone = "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>"
    listed = []
    for one in artifacts:
        named = {"groupId": one.group, "artifactId": one.name, "version": one.version, "classifier": one.classifier}
        fields = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in named.items() if value)
        listed.append(f"<dependency>{fields}{alone}</dependency>")
    return (
        "<project><modelVersion>4.0.0</modelVersion><groupId>local</groupId><artifactId>kylin</artifactId>"
        f"<version>1</version><packaging>pom</packaging><dependencies>{''.join(listed)}</dependencies></project>"
    )
