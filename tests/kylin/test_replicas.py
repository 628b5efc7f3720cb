"""Two receivers that read the same: one of them may be lost, and answers stay exact."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.kylin.conftest import gradcube, nodes, up
from tests.kylin.test_exactness import Stage
from tests.waiting import wait_until

from gradcube.bus.local_broker import LocalBroker
from gradcube.bus.topics import apply_topics, load_topics
from gradcube.cube.deploy.kylin import KylinDeployment
from gradcube.cube.deploy.plan import carry_out, plan
from gradcube.cube.model import Catalog, load_cube
from gradcube.kylin.accounts import ADMIN, password
from gradcube.kylin.rest import KylinRest
from gradcube.settings import KafkaSettings


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A Kylin of its own, with two receivers in one set."""
    folder = tmp_path_factory.mktemp("pair")
    with LocalBroker(tmp_path_factory.mktemp("broker")) as broker:
        apply_topics(KafkaSettings(bootstrap=broker.bootstrap), load_topics(), replication=1)
        try:
            up(folder, "--receivers", "2", "--replicas", "2")
            stage = Stage(folder, broker)
            stage.send()
            deploy_twice(folder, broker)
            stage.assert_exact()
            yield stage
        finally:
            gradcube(folder, "kylin", "down")


def deploy_twice(folder: Path, broker: LocalBroker) -> None:
    catalog = Catalog({"FACTS": load_cube()})
    port = nodes(folder)["server"]["port"]
    with KylinRest(f"http://127.0.0.1:{port}", ADMIN, password(folder / "kylin", ADMIN)) as rest:
        engine = KylinDeployment(rest, catalog, "gradcube", broker.bootstrap, replicas=2)
        carry_out(engine, plan(catalog, engine.deployed()).steps, lambda _: None)
        assert [len(group["nodes"]) for group in rest.get("streaming_v2/replicaSets")] == [2]


@pytest.mark.parametrize("name", ["receiver-0", "receiver-1"])
def test_answers_are_exact_while_one_is_lost(pair: Stage, name: str) -> None:
    process = nodes(pair.folder)[name]
    os.kill(process["pid"], signal.SIGSTOP)  # it neither ends, so that nobody starts it again, nor answers
    try:
        pair.send()
        pair.assert_exact()
    finally:
        with suppress(ProcessLookupError):  # the supervisor ends one that hangs for a minute
            os.kill(process["pid"], signal.SIGCONT)
    wait_until(lambda: all(one["ready"] for one in nodes(pair.folder).values()), 180, f"{name} is back", 1.0)
    pair.send()
    pair.assert_exact()
