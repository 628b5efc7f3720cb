"""Declared against deployed: which steps, and that a real store takes them."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cube.facts import value

from gradcube.cube.columns import decode_facts
from gradcube.cube.deploy.embedded import EmbeddedDeployment
from gradcube.cube.deploy.plan import DeployedVersion, Outcome, Plan, Step, carry_out, plan, plan_drop, shape_of
from gradcube.cube.model import Catalog, CubeModel, Retention
from gradcube.cube.store.store import Store
from gradcube.errors import ConfigError

PLACE = ("gradcube.facts", 0)


def changed(model: CubeModel) -> CubeModel:
    """The same cube without its last group."""
    return replace(model, rollups=model.rollups[:-1])


def version(model: CubeModel, number: int = 1, **fields: Any) -> DeployedVersion:
    return DeployedVersion(model.name, number, shape_of(model), **{"serving": True, "rows": 7, **fields})


def steps(result: Plan) -> list[str]:
    return [step.title for step in result.steps]


def catalog_of(model: CubeModel) -> Catalog:
    return Catalog({model.name: model})


def test_cube_that_is_not_there_is_made(catalog: Catalog) -> None:
    assert steps(plan(catalog, [])) == [f"create {name}" for name in catalog.cubes]
    assert steps(plan(catalog, [], ["JOBS"])) == ["create JOBS"]


def test_cube_that_is_as_declared_needs_nothing(catalog: Catalog) -> None:
    result = plan(catalog, [version(model) for model in catalog.cubes.values()])
    assert (result.steps, result.unchanged) == ((), tuple(catalog.cubes))


def test_words_and_days_of_retention_make_no_new_version(model: CubeModel) -> None:
    columns = tuple(replace(column, doc="other words") for column in model.columns)
    other = replace(model, doc="other", columns=columns, retention=Retention(days=1), rules=())
    assert plan(catalog_of(other), [version(model)]).steps == ()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda model: replace(model, columns=model.columns[:-1]), "columns: SAMPLES is gone"),
        (lambda model: replace(model, columns=model.columns[::-1]), "rows: order is"),
        (lambda model: replace(model, rollups=()), "groups: FLEET_DAY is gone"),
        (lambda model: replace(model, key="JOB"), "rows: key is JOB, was FACT_ID"),
        (lambda model: replace(model, topic="other"), "reading: topic is other, was gradcube.facts"),
        (lambda model: replace(model, retention=Retention(latest=True)), "rows: latest is True, was False"),
    ],
)
def test_changed_cube_is_a_new_version_beside_the_old_one(model: CubeModel, change: Any, why: str) -> None:
    result = plan(catalog_of(change(model)), [version(model)])
    assert steps(result) == ["create FACTS", "fill FACTS", "switch FACTS", "retire FACTS version 1"]
    assert why in result.steps[0].why


def test_new_version_that_is_there_is_filled_and_switched(model: CubeModel) -> None:
    deployed = [version(model), version(changed(model), 2, serving=False, missing=5)]
    result = plan(catalog_of(changed(model)), deployed)
    assert steps(result) == ["fill FACTS", "switch FACTS", "retire FACTS version 1"]
    assert result.steps[0].why == "5 records behind"


def test_version_left_over_is_retired(model: CubeModel) -> None:
    deployed = [version(model), version(changed(model), 2, serving=False)]
    assert steps(plan(catalog_of(model), deployed)) == ["retire FACTS version 2"]


def test_cube_that_is_not_declared_stays_until_it_is_dropped_by_name(catalog: Catalog, model: CubeModel) -> None:
    old = version(replace(model, name="OLD"))
    assert plan(catalog, [old]).undeclared == ("OLD",)
    assert steps(plan_drop("OLD", [old])) == ["drop OLD version 1"]


def deploy(engine: EmbeddedDeployment, catalog: Catalog) -> Sequence[Outcome]:
    begun: list[Step] = []
    steps = plan(catalog, engine.deployed()).steps
    outcomes = carry_out(engine, steps, begun.append)
    assert tuple(begun) == steps
    return outcomes


def test_store_is_deployed_to_changed_caught_up_and_switched(tmp_path: Path, model: CubeModel) -> None:
    first, second = catalog_of(model), catalog_of(changed(model))
    engine = EmbeddedDeployment(tmp_path / "store", first)
    assert engine.deployed() == []
    deploy(engine, first)
    write(tmp_path, model)
    assert plan(first, engine.deployed()).steps == ()

    engine = EmbeddedDeployment(tmp_path / "store", second)
    created, filled = deploy(engine, second)
    assert created.waits_for is None
    assert "3 records" in str(filled.waits_for)
    assert "the switch" in str(engine.apply(Step("retire", "FACTS", "", 1)).waits_for)
    assert [(one.serving, one.rows, one.missing) for one in engine.deployed()] == [(True, 3, 0), (False, 0, 3)]


def test_version_that_has_caught_up_is_switched_and_the_old_one_goes(tmp_path: Path, model: CubeModel) -> None:
    write(tmp_path, model)
    new = changed(model)
    write(tmp_path, new)
    engine = EmbeddedDeployment(tmp_path / "store", catalog_of(new))
    assert all(outcome.waits_for is None for outcome in deploy(engine, catalog_of(new)))
    assert [(one.number, one.serving, one.rows) for one in engine.deployed()] == [(2, True, 3)]
    assert plan(catalog_of(new), engine.deployed()).steps == ()


def test_dropped_cube_is_gone(tmp_path: Path, model: CubeModel) -> None:
    write(tmp_path, model)
    engine = EmbeddedDeployment(tmp_path / "store", catalog_of(model))
    for step in plan_drop("FACTS", engine.deployed()).steps:
        engine.apply(step)
    assert engine.deployed() == []


def test_store_that_is_in_use_says_what_to_do(tmp_path: Path, model: CubeModel) -> None:
    engine = EmbeddedDeployment(tmp_path / "store", catalog_of(model))
    with closing(Store(tmp_path / "store", [model])), pytest.raises(ConfigError, match="a running gateway deploys"):
        engine.deployed()


def write(folder: Path, model: CubeModel) -> None:
    facts, _ = decode_facts([value(number) for number in range(3)], model)
    with closing(Store(folder / "store", [model])) as store:
        store.write("FACTS", facts, {PLACE: 3})
