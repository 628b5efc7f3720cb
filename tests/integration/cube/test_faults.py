"""What may go wrong around a gateway, on the real parts."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import httpx
import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from tests.integration.cube.conftest import cubes_folder
from tests.integration.cube.gateway_process import GatewayProcess, produce
from tests.unit.cube.facts import value
from tests.waiting import wait_until

from gradcube.bus.topics import TopicSpec, apply_topics
from gradcube.settings import KafkaSettings


def test_killed_in_the_middle_of_ingest_it_loses_and_doubles_nothing(
    gateway: GatewayProcess, kafka: KafkaSettings, topic: TopicSpec
) -> None:
    total = 60_000
    writing = Thread(target=produce, args=(kafka, topic.name, [value(number) for number in range(total)]))
    writing.start()
    draw = random.Random(7)
    for round_number in range(1, 5):
        gateway.wait_for_rows(round_number * total // 6 + draw.randrange(2_000))
        gateway.signal(signal.SIGKILL)
        gateway.start()
    writing.join()
    gateway.wait_for_rows(total)
    assert gateway.ask("select count(*), count(distinct fact_id) from facts") == [(total, total)]
    status = gateway.status()
    assert sum(status["offsets"].values()) == total
    assert (status["duplicate_fact_ids"], status["lost_records"], status["topic_resets"]) == (0, 0, 0)


def test_bad_records_lie_in_the_dead_letters_as_sent(
    gateway: GatewayProcess, kafka: KafkaSettings, topic: TopicSpec
) -> None:
    produce(kafka, topic.name, [value(1), b"\x00poison", b'{"TS": 1}', value(2), value(2)])
    gateway.wait_for_rows(2)
    wait_until(lambda: gateway.status()["bad_records"] == 2, 20, "two bad records are counted")
    wait_until(lambda: gateway.status()["duplicate_fact_ids"] == 1, 20, "the repeated fact is counted")
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest", group_id=None)
    consumer.assign([TopicPartition(f"dlq.{topic.name}", 0)])
    letters: list[bytes] = []

    def read_letters() -> bool:
        letters.extend(one.value for batch in consumer.poll(timeout_ms=500).values() for one in batch)
        return len(letters) >= 2

    wait_until(read_letters, 30, "two dead letters")
    consumer.close()
    assert sorted(letters) == sorted([b"\x00poison", b'{"TS": 1}'])


def test_topic_made_anew_is_read_from_its_start_and_counted(
    gateway: GatewayProcess, kafka: KafkaSettings, topic: TopicSpec
) -> None:
    produce(kafka, topic.name, [value(number) for number in range(30)], partition=0)
    gateway.wait_for_rows(30)
    gateway.stop()
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    admin.delete_topics([topic.name])
    wait_until(lambda: topic.name not in admin.list_topics(), 30, "the topic is gone")
    admin.close()
    apply_topics(kafka, {topic.name: topic}, replication=1)
    produce(kafka, topic.name, [value(number) for number in range(25, 35)], partition=0)
    gateway.start()
    gateway.wait_for_rows(35)
    status = gateway.status()
    assert status["topic_resets"] == 1
    assert status["duplicate_fact_ids"] == 5


def test_records_that_retention_took_before_they_were_read_are_counted(
    gateway: GatewayProcess, kafka: KafkaSettings, topic: TopicSpec
) -> None:
    produce(kafka, topic.name, [value(number) for number in range(30)], partition=0)
    gateway.wait_for_rows(30)
    gateway.stop()
    produce(kafka, topic.name, [value(number) for number in range(30, 50)], partition=0)
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    admin.delete_records({TopicPartition(topic.name, 0): 40})
    admin.close()
    gateway.start()
    gateway.wait_for_rows(40)
    assert gateway.status()["lost_records"] == 10
    assert gateway.ask("select max(metric_value) from facts") == [(49.0,)]


def test_absent_broker_makes_it_unready_while_queries_are_served(tmp_path: Path) -> None:
    gateway = GatewayProcess(tmp_path, KafkaSettings(bootstrap="127.0.0.1:1"))
    gateway.start()
    ready = httpx.get(f"{gateway.url}/ready")
    assert (ready.status_code, ready.json()["ready"]) == (503, False)
    wait_until(lambda: "Kafka" in httpx.get(f"{gateway.url}/ready").json()["reason"], 30, "the reason names Kafka")
    assert gateway.ask("select count(*) from facts") == [(0,)]
    gateway.stop()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    directory = tmp_path / "disk"
    directory.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(directory)], check=False)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


@pytest.fixture(params=["0", "2000000"])
def cramped(
    tiny_disk: Path, tmp_path: Path, kafka: KafkaSettings, topic: TopicSpec, request: pytest.FixtureRequest
) -> Iterator[GatewayProcess]:
    """Its store lies on the tiny disk, of which so many bytes are kept in reserve."""
    store, folder = str(tiny_disk / "store"), str(cubes_folder(tmp_path, topic.name))
    gateway = GatewayProcess(tmp_path, kafka, cubes=folder, store=store, reserve_bytes=request.param)
    gateway.start()
    yield gateway
    gateway.stop()


def test_full_disk_stalls_ingest_and_it_goes_on_by_itself(
    cramped: GatewayProcess, tiny_disk: Path, kafka: KafkaSettings, topic: TopicSpec
) -> None:
    gateway, total = cramped, 120_000
    produce(kafka, topic.name, [value(number) for number in range(1000)])
    gateway.wait_for_rows(1000)
    produce(kafka, topic.name, [value(number) for number in range(1000, total)])
    wait_until(lambda: httpx.get(f"{gateway.url}/ready").json()["reason"] is not None, 60, "ingest stalls")
    ready = httpx.get(f"{gateway.url}/ready")
    assert ready.status_code == 503
    assert "disk full" in ready.json()["reason"] or "No space left" in ready.json()["reason"]
    [(rows,)] = gateway.ask("select count(*) from facts")
    assert 0 < rows < total
    assert "ingest_stalled" in gateway.log.read_text()
    subprocess.run(["mount", "-o", "remount,size=256m", str(tiny_disk)], check=True)
    gateway.wait_for_rows(total)
    assert gateway.ask("select count(*), count(distinct fact_id) from facts") == [(total, total)]
    assert gateway.status()["duplicate_fact_ids"] == 0


def test_taken_port_is_refused_by_name_with_exit_78(gateway: GatewayProcess, tmp_path: Path) -> None:
    environment = os.environ | {
        "GRADCUBE_CUBE_PORT": str(gateway.port),
        "GRADCUBE_CUBE_STORE": str(tmp_path / "other"),
        "GRADCUBE_CUBE_PASSWORD_FILE": str(tmp_path / "other-password"),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "gradcube_cube"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 78
    assert f"127.0.0.1:{gateway.port}" in ended.stderr
    assert "pid" in ended.stderr
    assert not (tmp_path / "other").exists()


def test_second_gateway_on_the_same_store_is_refused(gateway: GatewayProcess) -> None:
    environment = os.environ | {
        "GRADCUBE_CUBE_PORT": "0",
        "GRADCUBE_CUBE_STORE": str(gateway.directory / "store"),
        "GRADCUBE_CUBE_PASSWORD_FILE": str(gateway.directory / "password"),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "gradcube_cube"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 78
    assert "cannot be opened" in ended.stderr
