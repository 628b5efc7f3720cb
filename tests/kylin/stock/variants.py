"""Our launcher without one of its mends, as Kylin 3.1.3 is by itself: changed, compiled, and put in its place."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gradcube.bus.broker_files import cache_dir
from gradcube.kylin.artifacts import fetch, java_dir
from gradcube.kylin.classes import _compile, compiled

LAUNCHER = "gradcube/kylin"


@dataclass(frozen=True)
class Variant:
    """Texts of sources that give way to others."""

    changed: Mapping[str, tuple[str, str]] | None = None


MENDED = Variant()
FORGETS_POSITIONS = Variant(
    changed={
        f"{LAUNCHER}/ExactKafkaSource.java": (
            "segments.restoreConsumerStates(getSourcePositionHandler().parsePosition(checkpoint));",
            "",
        )
    }
)
KEEPS_FORMER_LIFE = Variant(changed={f"{LAUNCHER}/ExactKafkaSource.java": ("            forgetFragments();\n", "")})
DELETES_CLOSED_SEGMENTS = Variant(
    changed={
        f"{LAUNCHER}/ReceiverMain.java": (
            "ClosedSegments.keep(KylinConfig.getInstanceFromEnv().getStreamingIndexPath());",
            "",
        )
    }
)


def cache_with(variant: Variant, directory: Path) -> Path:
    """A cache folder (XDG_CACHE_HOME) as the user's, but with the variant's classes."""
    jars = fetch()
    usual = compiled(jars)
    sources = directory / "java"
    shutil.copytree(java_dir() / "java", sources)
    for name, (old, new) in (variant.changed or {}).items():
        text = (sources / name).read_text()
        assert old in text, f"{name} no longer has {old!r}"
        (sources / name).write_text(text.replace(old, new))
    cache = directory / "cache" / "gradcube"
    cache.mkdir(parents=True)
    for path in cache_dir().iterdir():
        if path != usual:
            (cache / path.name).symlink_to(path)
    _compile(sorted(sources.rglob("*.java")), jars, cache / usual.name)
    return cache.parent
