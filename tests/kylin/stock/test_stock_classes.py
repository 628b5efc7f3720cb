"""What Kylin 3.1.3's receiver counts wrongly by itself: each story is told with our classes, and without one mend.

Each needs a Kylin of its own, so that they are apart from `make test-kylin`: `make test-kylin-stock`.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.kylin.both import server_url
from tests.kylin.conftest import gradcube, restart_receiver, segment_states, up
from tests.kylin.stock import variants
from tests.kylin.stock.variants import MENDED, Variant, cache_with
from tests.kylin.test_exactness import Stage
from tests.waiting import wait_until

from gradcube.bus.local_broker import LocalBroker
from gradcube.bus.topics import apply_topics, load_topics
from gradcube.cube.deploy.kylin import KylinDeployment
from gradcube.cube.deploy.plan import carry_out, plan
from gradcube.cube.model import Catalog, load_cube
from gradcube.kylin.accounts import ADMIN, password
from gradcube.kylin.definitions import Windows
from gradcube.kylin.rest import KylinRest
from gradcube.settings import KafkaSettings

SETTLED_SECONDS = 15.0
WINDOWS = Windows(segment_seconds=3600, late_seconds=5)


def twice_with_nothing_between(stage: Stage) -> None:
    restart_receiver(stage.folder)
    restart_receiver(stage.folder)


def disabled_and_enabled(stage: Stage) -> None:
    """Both lives have files of the same segments, with other rows, and those of the first were answered from."""
    closed(stage)
    assert stage.counted()
    with rest_of(stage) as rest:
        rest.put("cubes/facts_v1/disable")
        stage.send("t5")  # in the same hours
        rest.put("cubes/facts_v1/enable")
    closed(stage)


def closed(stage: Stage) -> None:
    """Its segments are in files."""
    with rest_of(stage) as rest:
        wait_until(lambda: segment_states(rest) == {"IMMUTABLE"}, 200, "all segments are closed", 2)


def closed_then_restarted(stage: Stage) -> None:
    closed(stage)
    restart_receiver(stage.folder)


STORIES: list[tuple[str, Variant, Callable[[Stage], None]]] = [
    ("two restarts with nothing between", variants.FORGETS_POSITIONS, twice_with_nothing_between),
    ("disable and enable", variants.KEEPS_FORMER_LIFE, disabled_and_enabled),
    ("a restart with no open segment", variants.DELETES_CLOSED_SEGMENTS, closed_then_restarted),
]
NAMES = [name for name, _, _ in STORIES]


@pytest.mark.parametrize("story", [story for _, _, story in STORIES], ids=NAMES)
def test_with_our_classes_it_counts_once(
    story: Callable[[Stage], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with staged(MENDED, tmp_path, monkeypatch) as stage:
        story(stage)
        assert settled(stage) == len(stage.sent)


@pytest.mark.parametrize(("variant", "story"), [(variant, story) for _, variant, story in STORIES], ids=NAMES)
def test_without_the_mend_it_counts_wrongly(
    variant: Variant, story: Callable[[Stage], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with staged(variant, tmp_path, monkeypatch) as stage:
        story(stage)
        assert settled(stage) != len(stage.sent)


@contextmanager
def staged(variant: Variant, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache_with(variant, directory)))
    folder = directory / "home"
    with LocalBroker(directory / "broker") as broker:
        apply_topics(KafkaSettings(bootstrap=broker.bootstrap), load_topics(), replication=1)
        try:
            up(folder)
            stage = Stage(folder, broker, twice=0)
            stage.send()
            with rest_of(stage) as rest:
                catalog = Catalog({"FACTS": load_cube()})
                engine = KylinDeployment(rest, catalog, "gradcube", broker.bootstrap, WINDOWS)
                carry_out(engine, plan(catalog, engine.deployed()).steps, lambda _: None)
            stage.assert_exact()
            yield stage
        finally:
            gradcube(folder, "kylin", "down")


def rest_of(stage: Stage) -> KylinRest:
    return KylinRest(server_url(stage.folder), ADMIN, password(stage.folder / "kylin", ADMIN))


def settled(stage: Stage) -> int:
    """The count, once it has not changed for a while."""
    last: list[tuple[int, float]] = []

    def stands() -> bool:
        now = stage.counted()
        if now is None:
            return False
        if not last or last[-1][0] != now[0]:
            last.append((now[0], time.monotonic()))
        return time.monotonic() - last[-1][1] > SETTLED_SECONDS

    wait_until(stands, 180, "the count stands", 1)
    return last[-1][0]
