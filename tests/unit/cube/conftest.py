from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.unit.cube.answerer import Answerer
from tests.unit.cube.facts import value

from gradcube.cube.asking import Asking
from gradcube.cube.columns import decode_facts
from gradcube.cube.model import Catalog, CubeModel, load_catalog, load_cube
from gradcube.cube.questions import Limits
from gradcube.cube.sandbox.pool import QueryPool
from gradcube.cube.sandbox.request import PoolSettings
from gradcube.cube.store import Store


@pytest.fixture(scope="session")
def model() -> CubeModel:
    return load_cube()


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog()


@pytest.fixture(scope="session")
def answerer(model: CubeModel, catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answerer]:
    """100 facts of one job, 10 s apart from 2026-11-24 04:00:00, values 0 to 99; every other cube is empty."""
    directory = tmp_path_factory.mktemp("store")
    facts, bad = decode_facts([value(number) for number in range(100)], model)
    assert not bad
    settings = PoolSettings(workers=1, waiting=1, memory_bytes=256 * 2**20, threads=1)
    with closing(Store(directory, catalog.cubes.values())) as store, QueryPool(directory, settings) as pool:
        store.write(model.name, facts, {})
        yield Answerer(Asking(catalog, store, pool), Limits(rows=50, timeout_seconds=10))
