"""What is measured of both engines: rows in, SQL, age of what is answered, memory."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import psutil

from gradcube.bus.local_broker import LocalBroker
from gradcube.bus.topics import apply_topics, load_topics
from gradcube.settings import KafkaSettings
from tests.bench.bench_ingest import fill
from tests.bench.figure import Figure
from tests.integration.cube.gateway_process import GatewayProcess, produce
from tests.integration.questions.page import questions
from tests.kylin.both import FACTS_TOPIC, Both, ask, counted, deploy
from tests.kylin.conftest import nodes
from tests.unit.cube.facts import value
from tests.waiting import wait_until

GOAL_ROWS_PER_SECOND, GOAL_FRESH_SECONDS = 12_000, 5.0
FRESH_FACTS = 40


def ingest(folder: Path, directory: Path, facts: int) -> Figure:
    """Rows a second of one receiver from a topic that is full, and of a gateway's own store from the same one."""
    directory.mkdir()
    with LocalBroker(directory / "kafka") as broker:
        kafka = KafkaSettings(bootstrap=broker.bootstrap)
        apply_topics(kafka, load_topics(), replication=1)
        fill(kafka, facts)
        receiver = psutil.Process(nodes(folder)["receiver-0"]["pid"])
        cpu, began = sum(receiver.cpu_times()[:2]), time.monotonic()
        deploy(folder, None, kafka)
        wait_until(lambda: _read_by_receiver(folder) >= facts, 1200, f"{facts} facts are read", 0.1)
        taken, cpu = time.monotonic() - began, sum(receiver.cpu_times()[:2]) - cpu
        gateway, own = GatewayProcess(directory, kafka), time.monotonic()
        gateway.start()
        gateway.wait_for_rows(facts, 1200)
        own = time.monotonic() - own
        gateway.stop()
    note = f"{facts / cpu:,.0f} rows by CPU second; the gateway's own store {facts / own:,.0f} rows/s with its start"
    rate = facts / taken
    details = {"rows_per_cpu_second": facts / cpu, "embedded_rows_per_second": facts / own}
    goal = f">= {GOAL_ROWS_PER_SECOND:,}"
    return Figure("facts from Kafka into Kylin", rate, "rows/s", goal, rate >= GOAL_ROWS_PER_SECOND, note, details)


def _read_by_receiver(folder: Path) -> int:
    port = nodes(folder)["receiver-0"]["port"]
    answer = httpx.get(f"http://127.0.0.1:{port}/kylin/api/stats/cubes/facts_v1", timeout=10)
    told = answer.json() if answer.status_code == 200 else {}
    return int(told.get("total_ingest") or 0)


def sql(both: Both, rounds: int) -> list[Figure]:
    """Seconds of the ten questions, through the gateway and stock kylinpy."""
    asked = [one for one in questions() if one.is_benchmark]
    times = {name: [_seconds(gateway, one.sql, rounds) for one in asked] for name, gateway in _engines(both).items()}
    ratio = np.exp(np.mean([np.log(np.median(a) / np.median(b)) for a, b in zip(*times.values(), strict=True)]))
    figures = []
    for name, seconds in times.items():
        flat = np.concatenate(seconds)
        note = f"p95 {1000 * np.quantile(flat, 0.95):.0f} ms of {len(asked)} questions, {rounds} times each"
        figures.append(
            Figure(f"SQL over {both.facts:,} facts, {name}, p50", 1000 * float(np.median(flat)), "ms", "-", None, note)
        )
    return [
        *figures,
        Figure("SQL, Kylin against the embedded engine", float(ratio), "x", "stated", None, "times as long"),
    ]


def _seconds(gateway: GatewayProcess, statement: str, rounds: int) -> list[float]:
    taken = []
    for _ in range(rounds + 1):
        began = time.monotonic()
        assert "results" in ask(gateway, statement)
        taken.append(time.monotonic() - began)
    return taken[1:]


def freshness(both: Both) -> list[Figure]:
    """Seconds from the acknowledgement of a fact to its being counted in an answer."""
    kafka, figures = both.kafka, []
    for name, gateway in _engines(both).items():
        ages = [_age(gateway, partial(_send, kafka, number, name)) for number in range(FRESH_FACTS)]
        p95 = float(np.quantile(ages, 0.95))
        met = p95 <= GOAL_FRESH_SECONDS
        note = f"median {np.median(ages):.2f} s, {FRESH_FACTS} facts one by one"
        figures.append(Figure(f"event to answer, {name}, p95", p95, "s", f"<= {GOAL_FRESH_SECONDS:g}", met, note))
    return figures


def _send(kafka: KafkaSettings, number: int, name: str) -> None:
    produce(kafka, FACTS_TOPIC, [value(number, job=f"fresh-{name}")])


def _age(gateway: GatewayProcess, send: Callable[[], None]) -> float:
    before = counted(gateway)
    send()
    began = time.monotonic()
    wait_until(lambda: counted(gateway) != before, 60, "the fact is counted", 0.01)
    return time.monotonic() - began


def memory(folder: Path, both: Both) -> list[Figure]:
    """Resident memory of each process after all of that."""
    pids = {name: node["pid"] for name, node in nodes(folder).items()}
    pids |= {f"gateway, {name}": gateway.pid for name, gateway in _engines(both).items()}
    return [
        Figure(f"memory, {name}", psutil.Process(pid).memory_info().rss / 2**20, "MiB", "stated", None)
        for name, pid in pids.items()
    ]


def _engines(both: Both) -> dict[str, GatewayProcess]:
    return {"Kylin": both.kylin, "embedded": both.embedded}
