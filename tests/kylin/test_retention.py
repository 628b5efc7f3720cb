"""Rows whose days are over leave Kylin, also when its receiver was started since; newer ones stay."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.cube.gateway_process import produce
from tests.kylin.both import server_url
from tests.kylin.conftest import drop_all, restart_receiver, segment_states
from tests.unit.cube.facts import value
from tests.waiting import wait_until

from gradcube.bus.local_broker import LocalBroker
from gradcube.bus.topics import apply_topics, load_topics
from gradcube.cube.deploy.kylin import KylinDeployment
from gradcube.cube.deploy.plan import carry_out, plan, plan_drop
from gradcube.cube.model import Catalog, CubeModel, load_cube
from gradcube.kylin import definitions
from gradcube.kylin.accounts import ADMIN, password
from gradcube.kylin.definitions import Windows
from gradcube.kylin.rest import KylinError, KylinRest
from gradcube.settings import KafkaSettings

PROJECT, OLD, NEW = "gradcube", 500, 70
WINDOWS = Windows(segment_seconds=60, late_seconds=5)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    with LocalBroker(tmp_path_factory.mktemp("broker")) as broker:
        apply_topics(KafkaSettings(bootstrap=broker.bootstrap), load_topics(), replication=1)
        yield broker


@pytest.fixture
def kylin(folder: Path) -> Iterator[KylinRest]:
    with KylinRest(server_url(folder), ADMIN, password(folder / "kylin", ADMIN)) as rest:
        yield rest


def counted(kylin: KylinRest) -> int | None:
    """None while it cannot be asked."""
    try:
        return int(kylin.post("query", {"sql": "select count(*) from FACTS_V1", "project": PROJECT})["results"][0][0])
    except KylinError:
        return None


def send(broker: LocalBroker, model: CubeModel, count: int, first: int, millis: int) -> None:
    values = [value(first + number, TS=millis) for number in range(count)]
    produce(KafkaSettings(bootstrap=broker.bootstrap), model.topic, values)


@pytest.mark.parametrize(("day_seconds", "restarted"), [(60, False), (1200, True)], ids=["by itself", "after a start"])
def test_rows_leave_when_their_days_are_over(
    kylin: KylinRest, broker: LocalBroker, folder: Path, monkeypatch: pytest.MonkeyPatch,
    day_seconds: int, restarted: bool,
) -> None:  # fmt: skip
    """A day is made as short as that. The old rows are of an hour ago, so that they are over at a start."""
    monkeypatch.setattr(definitions, "_SECONDS_OF_DAY", day_seconds)
    declared = load_cube()
    model = replace(declared, retention=replace(declared.retention, days=1))
    catalog = Catalog({"FACTS": model})
    engine = KylinDeployment(kylin, catalog, PROJECT, broker.bootstrap, WINDOWS)
    drop_all(engine)
    now = int(time.time() * 1000)
    known = OLD + NEW if restarted else 0  # of the test before, which this cube reads too
    send(broker, model, OLD, known, now - 3_600_000)
    carry_out(engine, plan(catalog, engine.deployed()).steps, lambda _: None)
    wait_until(lambda: counted(kylin) == known + OLD, 60, "the old rows are counted", 0.5)
    send(broker, model, NEW, known + OLD, now + 3_600_000)
    wait_until(lambda: counted(kylin) == known + OLD + NEW, 60, "the new rows are counted", 0.5)
    if restarted:
        wait_until(lambda: "IMMUTABLE" in segment_states(kylin), 200, "a segment is closed", 1)
        restart_receiver(folder)
    expected = 2 * NEW if restarted else NEW
    seen: set[int | None] = set()

    def are_over() -> bool:
        seen.add(counted(kylin))
        return expected in seen

    wait_until(are_over, 300, "the old rows are gone", 1)
    assert counted(kylin) == expected
    carry_out(engine, plan_drop("FACTS", engine.deployed()).steps, lambda _: None)
