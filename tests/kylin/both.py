"""The same facts in both engines: a gateway of its own store, and one that asks Kylin, over one broker."""

import json
import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka import KafkaProducer
from tests.integration.cube.gateway_process import GatewayProcess
from tests.integration.questions.stand import PREFIX, answering
from tests.kylin.conftest import drop_all, nodes
from tests.unit.cube.facts import fact
from tests.waiting import wait_until

from gradcube.bus.local_broker import LocalBroker
from gradcube.cube.deploy.kylin import KylinDeployment
from gradcube.cube.deploy.plan import carry_out, plan
from gradcube.cube.model import Catalog, load_catalog
from gradcube.events.facts import encode_fact
from gradcube.kylin.accounts import ADMIN, GATEWAY, password, password_file
from gradcube.kylin.rest import KylinRest
from gradcube.settings import KafkaSettings

FACTS_TOPIC = f"{PREFIX}gradcube.facts"
HELD = ("FACTS", "RESOURCES")
GENERATED = 170_000
JOBS = [
    ("bert", "bert", 1_000_000),
    ("gpt-9b", "gpt-9b", 9_000_000_000),
    ("it's", "t5", 220_000_000),
    ("müller", "t5", 11),
]
METRICS = [
    ("loss", "quality"),
    ("step_seconds", "latency"),
    ("sync_wait_seconds", "latency"),
    ("tokens_per_second", "throughput"),
]


@dataclass(frozen=True)
class Both:
    """`facts`: how many there are."""

    embedded: GatewayProcess
    kylin: GatewayProcess
    kafka: KafkaSettings
    facts: int


@contextmanager
def both_engines(folder: Path, directory: Path, count: int = GENERATED) -> Iterator[Both]:
    """The fleet of docs/questions.md and generated facts, once each engine has them all."""
    with LocalBroker(directory / "broker") as broker:
        kafka = KafkaSettings(bootstrap=broker.bootstrap)
        with answering(directory, kafka) as embedded:
            facts = int(embedded.status()["rows"]) + count
            produce_generated(kafka, count)
            embedded.wait_for_rows(facts, 1200)
            deploy(folder, directory / "cubes", kafka, HELD)
            (directory / "kylin").mkdir()
            beside = GatewayProcess(
                directory / "kylin", kafka, cubes=str(directory / "cubes"), kylin_url=server_url(folder),
                kylin_password_file=str(password_file(folder / "kylin", GATEWAY)), kylin_lag_records="0",
            )  # fmt: skip
            beside.start()
            try:
                wait_until(lambda: counted(beside) == facts, 1200, f"Kylin has {facts} facts", 1)
                samples = counted(embedded, "RESOURCES")
                wait_until(lambda: counted(beside, "RESOURCES") == samples, 300, f"Kylin has {samples} samples", 1)
                yield Both(embedded, beside, kafka, facts)
            finally:
                beside.stop()


def server_url(folder: Path) -> str:
    """Of the running Kylin."""
    return f"http://127.0.0.1:{nodes(folder)['server']['port']}"


def deploy(folder: Path, cubes: Path | None, kafka: KafkaSettings, names: Sequence[str] = ("FACTS",)) -> None:
    """Those cubes of the declarations, anew: what another test left of them is dropped."""
    catalog = Catalog({name: load_catalog(cubes).cubes[name] for name in names})
    with KylinRest(server_url(folder), ADMIN, password(folder / "kylin", ADMIN)) as rest:
        engine = KylinDeployment(rest, catalog, "gradcube", kafka.bootstrap)
        drop_all(engine)
        carry_out(engine, plan(catalog, engine.deployed()).steps, lambda _: None)


def counted(gateway: GatewayProcess, cube: str = "FACTS") -> int | None:
    """None while it cannot be asked."""
    answer = ask(gateway, f"select count(*) from {cube}")
    return int(answer["results"][0][0]) if "results" in answer else None


def ask(gateway: GatewayProcess, sql: str) -> dict[str, Any]:
    """Kylin's answer, or the error's body, through stock kylinpy."""
    try:
        return dict(gateway.kylin().query(sql))
    except Exception as error:  # noqa: BLE001 - kylinpy has no class of its own for what a server refuses
        return {"error": str(error)}


def generated(count: int) -> Iterator[bytes]:
    """Four jobs on 24 ranks over 30 hours, in a random order within each hour; the same each time."""
    chance = random.Random(8)
    for number in range(count):
        job, model, parameters = JOBS[chance.randrange(len(JOBS))]
        metric, family = METRICS[chance.randrange(len(METRICS))]
        rank, samples = chance.randrange(24), chance.randrange(1, 40)
        value = round(chance.lognormvariate(0, 1.5), 6)
        row = fact(number, job=job, metric=metric)
        hour = number * 30 // count
        row |= {
            "TS": row["TS"] - 10_000 * number + 3_600_000 * hour + 1000 * chance.randrange(3600), "ATTEMPT": rank % 3,
            "MODEL": model, "MODEL_PARAMETERS": parameters, "SUBJECT_KIND": "rank", "SUBJECT": str(rank),
            "NODE": f"node-{rank // 8}" if rank < 20 else "", "STAGE": rank // 2, "FAMILY": family,
            "WINDOW_SECONDS": chance.choice([9, 10, 60]), "METRIC_VALUE": value, "METRIC_SUM": value * samples,
            "METRIC_MIN": value / 2, "METRIC_MAX": value * 2, "SAMPLES": samples, "FACT_ID": f"{number:032x}",
        }  # fmt: skip
        yield encode_fact(row)


def produce_generated(kafka: KafkaSettings, count: int) -> None:
    """A few of them twice, as after a failure of what writes facts."""
    client = KafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=20, batch_size=1 << 18)
    for number, value in enumerate(generated(count)):
        key = json.loads(value)["JOB"].encode()  # a job's facts are in one partition
        for _ in range(2 if number % 1000 < 5 else 1):
            client.send(FACTS_TOPIC, key=key, value=value)
    client.flush()
    client.close()


def assert_same(found: dict[str, Any], expected: dict[str, Any], sql: str, groups: int | None = None) -> None:
    """Equal columns and rows: sums to 9 digits, since each engine adds in its own order.

    With `groups`, rows come in any order, and that many first columns tell them apart.
    """
    assert "error" not in expected, f"{sql}\n{expected}"
    assert "error" not in found, f"{sql}\n{found}"
    names = [[(meta["label"], meta["columnTypeName"]) for meta in one["columnMetas"]] for one in (found, expected)]
    assert names[0] == names[1], sql
    assert found["partial"] == expected["partial"], sql
    rows, wanted = found["results"], expected["results"]
    if groups is not None:
        rows, wanted = (sorted(one, key=lambda row: [str(cell) for cell in row[:groups]]) for one in (rows, wanted))
    assert len(rows) == len(wanted), sql
    if expected["partial"] and groups is not None:
        return  # any rows, as many as may be given
    for row, other in zip(rows, wanted, strict=True):
        assert all(map(is_same, row, other)), f"{sql}\nKylin    {row}\nembedded {other}"


def is_same(cell: str | None, other: str | None, relative: float = 1e-9) -> bool:
    """As text, or as numbers that differ by rounding."""
    if cell == other or cell is None or other is None:
        return cell == other
    try:
        return math.isclose(float(cell), float(other), rel_tol=relative, abs_tol=1e-12)
    except ValueError:
        return False
