from collections.abc import Iterator

import pytest
from tests.unit.cube.facts import value

from gradcube.cube.answers import Answerer, Limits
from gradcube.cube.columns import decode_facts
from gradcube.cube.engine import Engine
from gradcube.cube.model import Catalog, CubeModel, load_catalog, load_cube


@pytest.fixture(scope="session")
def model() -> CubeModel:
    return load_cube()


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog()


@pytest.fixture
def engine(model: CubeModel) -> Iterator[Engine]:
    engine = Engine(model, None, memory_limit="256MB", threads=1)
    facts, bad = decode_facts([value(number) for number in range(100)], model)
    assert not bad
    engine.write(facts, {("gradcube.facts", 0): 100})
    yield engine
    engine.close()


@pytest.fixture
def answerer(engine: Engine, model: CubeModel) -> Iterator[Answerer]:
    answerer = Answerer(engine, model, Limits(rows=50, workers=1, timeout_seconds=10))
    yield answerer
    answerer.close()
