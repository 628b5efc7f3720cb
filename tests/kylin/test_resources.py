"""Samples in Avro, several rows each: both engines answer alike and count exactly, whatever is killed or sent."""

import json
import os
import signal
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest
from tests.integration.cube.gateway_process import produce
from tests.kylin.both import ask, assert_same, counted
from tests.kylin.conftest import nodes
from tests.kylin.samples import HOUR_MICROS, Watched, framed, measured, sample, watched
from tests.unit.cube.facts import value
from tests.waiting import wait_until

from gradcube.events import encode, registry
from gradcube.kylin import definitions

SAMPLES = 2800
FIRST_MICROS = (int(time.time() * 1e6) // HOUR_MICROS - 6) * HOUR_MICROS
MIDDLE = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(FIRST_MICROS // 1_000_000 + 5400))
STATEMENTS = [
    "select count(*), sum(METRIC_VALUE), min(METRIC_VALUE), max(METRIC_VALUE) from RESOURCES",
    "select METRIC, count(*), sum(METRIC_VALUE), avg(METRIC_VALUE) from RESOURCES group by METRIC order by METRIC",
    "select NODE, DEVICE, METRIC, max(METRIC_VALUE) from RESOURCES group by NODE, DEVICE, METRIC order by 1, 2, 3",
    "select POD, count(*) from RESOURCES group by POD order by POD",
    "select JOB, ATTEMPT, WORKER, count(*) from RESOURCES group by JOB, ATTEMPT, WORKER order by 1, 2, 3",
    "select count(*) from RESOURCES where JOB is null",
    "select count(*), min(POD) from RESOURCES where POD is not null",
    "select METRIC, count(*) from RESOURCES where POD is null and JOB is not null group by METRIC order by METRIC",
    "select NODE, count(*) from RESOURCES where JOB = 'it''s' or DEVICE = 'host' group by NODE order by NODE",
    "select count(*) from RESOURCES where JOB <> 'bert'",
    "select count(*) from RESOURCES where JOB not in ('bert', 'müller')",
    "select count(*) from RESOURCES where not (JOB = 'bert' and WORKER > 3)",
    "select WORKER, count(*) from RESOURCES where WORKER >= 3 group by WORKER order by WORKER desc limit 3",
    "select count(*) from RESOURCES where DEVICE like 'gpu:%' and METRIC = 'gpu_power_watts'",
    "select MINUTE_START, count(*), sum(METRIC_VALUE) from RESOURCES where METRIC = 'gpu_power_watts' "
    "group by MINUTE_START order by MINUTE_START limit 20 offset 5",
    "select HOUR_START, METRIC, avg(METRIC_VALUE) from RESOURCES group by HOUR_START, METRIC order by 1, 2",
    "select floor(TS to HOUR), count(*) from RESOURCES group by floor(TS to HOUR) order by 1",
    f"select count(*), max(DAY_START) from RESOURCES where MINUTE_START >= TIMESTAMP '{MIDDLE}'",
    f"select NODE, max(METRIC_VALUE) from RESOURCES where TS < '{MIDDLE}' and METRIC = 'memory_used_bytes' "
    "group by NODE having count(*) > 5 order by NODE",
    "select coalesce(JOB, 'none'), count(distinct DEVICE) from RESOURCES group by coalesce(JOB, 'none') order by 1",
    "select F.JOB, F.N, R.WATTS from (select JOB, count(*) as N from FACTS group by JOB) F join (select JOB, "
    "sum(METRIC_VALUE) as WATTS from RESOURCES where METRIC = 'gpu_power_watts' group by JOB) R on F.JOB = R.JOB",
    "select 'facts' as WHAT, count(*) as N from FACTS union all select 'samples', count(*) from RESOURCES order by 1",
]


@pytest.fixture(scope="module")
def resources(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """The receiver writes a checkpoint down every second, by default every five minutes: more fall between two rows."""
    with pytest.MonkeyPatch.context() as patch:
        settings = definitions._settings
        often = {"kylin.stream.index.checkpoint.intervals": "1"}
        patch.setattr(definitions, "_settings", lambda *asked: settings(*asked) | often)
        yield from stand_of(folder, tmp_path_factory)


def stand_of(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched(folder, tmp_path_factory.mktemp("resources"), FIRST_MICROS) as stand:
        produce(stand.kafka, "gradcube.facts", [value(number) for number in range(40)])
        stand.send(SAMPLES)
        stand.wait()
        wait_until(lambda: counted(stand.kylin) == counted(stand.embedded) == 40, 60, "the facts are there", 0.5)
        yield stand


def test_every_row_is_in_both_engines(resources: Watched) -> None:
    assert resources.rows >= 20_000
    assert resources.counts() == [resources.rows, resources.rows]


@pytest.mark.parametrize("sql", STATEMENTS)
def test_statement(resources: Watched, sql: str) -> None:
    found = ask(resources.kylin, sql)
    assert_same(found, ask(resources.embedded, sql), sql)
    assert found["results"]


def test_bad_record_is_refused_and_counted(resources: Watched) -> None:
    """2 GB claimed, cut, another event's, no Avro; of one with an infinite value the other rows are kept."""
    good = encode("ResourceSample", sample(0, FIRST_MICROS))
    huge = b"\x00\x00\x00\x00\x0a\xfe\xff\xff\xff\x0f"
    other = b"\x00\x00\x00\x00\x07" + good[5:]
    before = refused(resources)
    part = sample(-4, FIRST_MICROS) | {"cpu_utilization_ratio": float("inf")}
    resources.produce([b"", b"{}", huge, other, good[:-3], good + b"\x00", encode("ResourceSample", part)])
    resources.wait(measured(part) - 1)
    wait_until(lambda: refused(resources) == before + 7, 30, "all are counted", 0.5)
    resources.rows += measured(part) - 1
    assert resources.counts() == [resources.rows, resources.rows]


def refused(resources: Watched) -> int:
    return int(resources.kylin.status("RESOURCES")["refused"] or 0)


def test_newer_version_that_the_installation_knows_is_read(resources: Watched, folder: Path) -> None:
    """With a field that the cube does not read. The receiver learns of it at its next start."""
    path = folder / "kylin" / "conf" / "receiver-0" / "schemas.json"
    known = path.read_text()
    newer = deepcopy(json.loads(known))
    latest = next(one for one in newer if one["id"] == registry().latest("ResourceSample").id)
    added = {"name": "fan_rpm", "type": ["null", "int"], "default": None}
    schema = {**latest["schema"], "fields": [added, *latest["schema"]["fields"]]}
    one = sample(resources.samples, FIRST_MICROS)
    path.write_text(json.dumps([*newer, {**latest, "id": 99, "version": 99, "schema": schema}]))
    try:
        kill(folder)
        resources.produce([framed(99, schema, {**one, "fan_rpm": 900})])
        rows = resources.rows + measured(one)
        wait_until(lambda: counted(resources.kylin, "RESOURCES") == rows, 120, "it is read", 1)
    finally:
        path.write_text(known)
    resources.produce([encode("ResourceSample", one)])  # the embedded engine, which does not know 99, gets it too
    resources.rows, resources.samples = resources.rows + measured(one), resources.samples + 1


def test_every_row_counts_once_after_a_kill(resources: Watched, folder: Path) -> None:
    for _ in range(2):
        resources.send(700)
        kill(folder)
        checkpoints = folder.glob("kylin/index/receiver-0/resources_v*/.cp/*")
        assert any(one.stat().st_size for one in checkpoints), "it goes on from where it was, not from the beginning"
        resources.send(300)
        wait_until(lambda: all(one["ready"] for one in nodes(folder).values()), 120, "it is back", 0.5)
    resources.wait()
    assert resources.counts() == [resources.rows, resources.rows]
    sql = "select METRIC, count(*), sum(METRIC_VALUE) from RESOURCES group by METRIC order by METRIC"
    wait_until(lambda: not ask(resources.kylin, sql)["partial"], 60, "the gateway has seen that nothing is behind")
    assert_same(ask(resources.kylin, sql), ask(resources.embedded, sql), sql)


def kill(folder: Path) -> None:
    before = nodes(folder)["receiver-0"]
    os.kill(before["pid"], signal.SIGKILL)
    wait_until(lambda: nodes(folder)["receiver-0"]["restarts"] > before["restarts"], 60, "its end is seen", 0.5)
