"""All shipped cubes and views behind one gateway, fed with facts and one attempt of a job."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.integration.cube.conftest import make_topic
from tests.integration.cube.gateway_process import GatewayProcess, produce
from tests.unit.cube.facts import value
from tests.unit.cube.test_records import LIFECYCLE

from gradcube.bus.local_broker import LocalBroker
from gradcube.cube.model import Catalog, load_catalog
from gradcube.events import encode
from gradcube.events.registry import schemas_dir
from gradcube.settings import KafkaSettings


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


@pytest.fixture(scope="module")
def whole(broker: LocalBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """The shipped folder, each cube over a topic of its own."""
    directory = tmp_path_factory.mktemp("whole")
    kafka = KafkaSettings(bootstrap=broker.bootstrap)
    folder, topics = directory / "cubes", {}
    folder.mkdir()
    for path in sorted((schemas_dir() / "cubes").glob("*.yaml")):
        body: dict[str, Any] = yaml.safe_load(path.read_text())
        if path.name != "views.yaml":
            topics[path.stem] = make_topic(kafka).name
            body["source"] = {**body["source"], "topic": topics[path.stem]}
        (folder / path.name).write_text(yaml.safe_dump(body, sort_keys=False))
    process = GatewayProcess(directory, kafka, cubes=str(folder))
    process.start()
    produce(kafka, topics["facts"], [value(number) for number in range(50)])
    produce(kafka, topics["jobs"], [encode("Lifecycle", LIFECYCLE)])
    process.wait_for_rows(50)
    process.wait_for_rows(1, cube="JOBS")
    yield process
    process.stop()


def test_every_cube_and_view_is_listed_with_its_columns(whole: GatewayProcess, catalog: Catalog) -> None:
    kylin = whole.kylin()
    assert set(kylin.get_all_tables()) == set(catalog.names)
    listed = httpx.get(
        f"{whole.url}/kylin/api/tables_and_columns", params={"project": "gradcube"}, auth=("ADMIN", whole.password)
    ).json()
    kinds = {one["table_NAME"]: one["table_TYPE"] for one in listed}
    assert kinds == dict.fromkeys(catalog.cubes, "TABLE") | dict.fromkeys(catalog.views, "VIEW")
    assert all(one["columns"] for one in listed)
    assert sorted(kylin.list_datasources()) == sorted(f"{name.lower()}_cube" for name in catalog.cubes)


def test_each_table_is_answered_with_the_columns_that_were_listed(whole: GatewayProcess, catalog: Catalog) -> None:
    for name in catalog.names:
        listed = {column.name for column in whole.kylin().get_table_source(name, "DEFAULT").columns}
        answer = whole.kylin().query(f'select * from "{name}" limit 1')
        assert {meta["label"] for meta in answer["columnMetas"]} == listed


def test_cubes_are_joined(whole: GatewayProcess) -> None:
    job = LIFECYCLE["job"]
    sql = f"select J.JOB, count(*) from JOBS J left join FACTS F on F.JOB = J.JOB where J.JOB = '{job}' group by J.JOB"
    assert whole.ask(sql) == [(job, 50)]


def test_metas_name_the_cube_that_a_column_is_of(whole: GatewayProcess) -> None:
    answer = whole.kylin().query("select F.JOB, J.STATUS from FACTS F, JOBS J limit 1")
    assert [meta["tableName"] for meta in answer["columnMetas"]] == ["FACTS", "JOBS"]
    assert answer["cube"] == "CUBE[name=facts_cube],CUBE[name=jobs_cube]"


def test_status_tells_of_each_cube(whole: GatewayProcess, catalog: Catalog) -> None:
    told = whole.whole_status()
    assert told["cubes"].keys() == catalog.cubes.keys()
    facts = told["cubes"]["FACTS"]
    assert (facts["rows"], facts["version"], facts["switched"]) == (50, 1, True)
    assert facts["segments"] > 1
    assert isinstance(facts["freshness_seconds"], float)
    ready = httpx.get(f"{whole.url}/ready").json()
    assert (ready["ready"], len(ready["checks"])) == (True, len(catalog.cubes))


def test_nothing_else_is_written(whole: GatewayProcess) -> None:
    found = {path.name for path in Path(whole.directory).iterdir()}
    assert found == {"cubes", "gateway.log", "password", "store", "users.json", "audit", "audit.key"}
