"""A declared cube in a real Kylin: deployed, counted, changed beside itself, switched, dropped."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.cube.gateway_process import produce
from tests.kylin.conftest import drop_all, nodes
from tests.unit.cube.facts import value
from tests.waiting import wait_until

from gradcube.bus.local_broker import LocalBroker
from gradcube.bus.topics import apply_topics, load_topics
from gradcube.cube.deploy.kylin import KylinDeployment
from gradcube.cube.deploy.plan import Outcome, carry_out, plan, plan_drop
from gradcube.cube.model import Catalog, CubeModel, load_cube
from gradcube.kylin.accounts import ADMIN, password
from gradcube.kylin.rest import KylinConflict, KylinDenied, KylinError, KylinMissing, KylinRest
from gradcube.settings import KafkaSettings

PROJECT, ROWS = "gradcube", 3000


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    with LocalBroker(tmp_path_factory.mktemp("broker")) as broker:
        apply_topics(KafkaSettings(bootstrap=broker.bootstrap), load_topics(), replication=1)
        yield broker


@pytest.fixture(scope="module")
def kylin(folder: Path) -> Iterator[KylinRest]:
    with KylinRest(url(folder), ADMIN, password(folder / "kylin", ADMIN)) as rest:
        yield rest


def url(folder: Path) -> str:
    return f"http://127.0.0.1:{nodes(folder)['server']['port']}"


def engine_of(kylin: KylinRest, broker: LocalBroker, model: CubeModel) -> KylinDeployment:
    return KylinDeployment(kylin, Catalog({model.name: model}), PROJECT, broker.bootstrap)


def deploy(engine: KylinDeployment, model: CubeModel) -> list[Outcome]:
    return carry_out(engine, plan(Catalog({model.name: model}), engine.deployed()).steps, lambda _: None)


def counted(kylin: KylinRest, table: str) -> list[str] | None:
    """Count and sum; None while they cannot be asked."""
    sql = f"select count(*), sum(METRIC_VALUE), count(distinct METRIC) from {table}"
    try:
        return list(kylin.post("query", {"sql": sql, "project": PROJECT})["results"][0])
    except KylinError:
        return None


def test_cube_lives_from_deploy_to_drop(kylin: KylinRest, broker: LocalBroker) -> None:
    model = load_cube()
    engine = engine_of(kylin, broker, model)
    values = [value(number) for number in range(ROWS)]
    total = sum(json.loads(one)["METRIC_VALUE"] for one in values)
    produce(KafkaSettings(bootstrap=broker.bootstrap), model.topic, values)
    drop_all(engine)
    assert engine.deployed() == []

    assert [one.step.action for one in deploy(engine, model)] == ["create"]
    wait_until(lambda: (counted(kylin, "FACTS_V1") or ["0"])[0] == str(ROWS), 60, "all rows are counted", 0.5)
    assert float((counted(kylin, "FACTS_V1") or [])[1]) == total
    assert plan(Catalog({"FACTS": model}), engine.deployed()).steps == ()
    assert [(one.number, one.serving, one.rows) for one in engine.deployed()] == [(1, True, ROWS)]

    changed = replace(model, rollups=model.rollups[:1])
    engine = engine_of(kylin, broker, changed)
    wait_until(lambda: all(one.waits_for is None for one in deploy(engine, changed)), 90, "the new version is seen", 1)
    assert [(one.number, one.serving) for one in engine.deployed()] == [(2, True)]
    wait_until(lambda: (counted(kylin, "FACTS_V2") or ["0"])[0] == str(ROWS), 60, "its rows are counted", 0.5)
    assert counted(kylin, "FACTS_V1") is None

    assert all(one.waits_for is None for one in carry_out(engine, plan_drop("FACTS", engine.deployed()).steps, print))
    assert engine.deployed() == []
    assert kylin.get("tables", project=PROJECT) == []


def test_what_is_half_made_is_made_whole(
    kylin: KylinRest, broker: LocalBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_cube()
    engine = engine_of(kylin, broker, model)
    drop_all(engine)
    asked = KylinRest.post

    def until_the_cube(self: KylinRest, path: str, body: dict[str, object]) -> object:
        if path == "cubes":
            raise ConnectionError("killed here")
        return asked(self, path, body)

    with monkeypatch.context() as patch:
        patch.setattr(KylinRest, "post", until_the_cube)
        with pytest.raises(ConnectionError):
            deploy(engine, model)
    assert engine.deployed() == []
    assert [one.step.action for one in deploy(engine, model)] == ["create"]
    assert [(one.number, one.serving) for one in engine.deployed()] == [(1, True)]
    wait_until(lambda: (counted(kylin, "FACTS_V1") or ["0"])[0] == str(ROWS), 60, "all rows are counted", 0.5)
    carry_out(engine, plan_drop("FACTS", engine.deployed()).steps, print)


def test_refusals_are_told_apart(kylin: KylinRest, folder: Path) -> None:
    with pytest.raises(KylinMissing, match="Cannot find cube 'nope'"):
        kylin.delete("cubes/nope")
    with pytest.raises(KylinMissing, match="Cannot find project 'nope'"):
        kylin.post("query", {"sql": "select 1", "project": "nope"})
    with KylinRest(url(folder), ADMIN, "KYLIN") as stranger, pytest.raises(KylinDenied, match="401"):
        stranger.get("projects")
    described = {"projectDescData": json.dumps({"name": "twice", "description": "", "override_kylin_properties": {}})}
    kylin.post("projects", described)
    with pytest.raises(KylinConflict, match="already exists"):
        kylin.post("projects", described)
    kylin.delete("projects/twice")
