"""What an agent reaches, and how a job says that it clips, become facts by way of a real broker."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

from kafka import KafkaProducer
from tests.integration.metrics.stand import Fleet, facts_of, producer, worker
from tests.waiting import wait_until

from gradcube.events import Fact, encode
from gradcube.ports import free_port
from gradcube.settings import KafkaSettings

STEPS, RANKS = 40, 4


def feed(client: KafkaProducer, fleet: Fleet, clip_norm: float) -> None:
    """A job that has clipped above `clip_norm`, one of whose ranks has found a server that did not answer."""
    about = {"job": fleet.job, "attempt": 0, "at": fleet.start_micros}
    described = {"model": "bert", "model_parameters": 5, "hardware": "", "dataset": "", "world_size": RANKS}
    started = {**about, **described, "kind": "JOB_STARTED", "epoch": 1, "detail": "", "grad_clip_norm": clip_norm}
    client.send("gradcube.lifecycle", key=fleet.job.encode(), value=encode("Lifecycle", started))
    reach = [{"dependency": "SERVER", "name": "ps:1", "seconds": 0.25}, {"dependency": "SERVER", "name": "ps:2"}]
    sample = {
        "job": fleet.job, "attempt": 0, "rank": 0, "node": "node-0", "device": "process:1",
        "sampled_at": fleet.start_micros + fleet.step_micros, "reach": [{"seconds": None, **each} for each in reach],
    }  # fmt: skip
    client.send("gradcube.resources", key=b"node-0/process:1", value=encode("ResourceSample", sample))
    for key, value in [record for step in range(STEPS) for record in fleet.records(step)]:
        client.send("gradcube.steps", key=key, value=value)
    client.flush()


def agent(kafka: KafkaSettings, node: str, store: Path) -> "subprocess.Popen[bytes]":
    environment = os.environ | {
        "GRADCUBE_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "GRADCUBE_AGENT_NODE": node,
        "GRADCUBE_AGENT_PROBES": f"store={store},gateway=127.0.0.1:{free_port()}",
        "GRADCUBE_AGENT_INTERVAL_SECONDS": "0.5",
        "GRADCUBE_AGENT_PROBE_SECONDS": "1",
    }
    return subprocess.Popen([sys.executable, "-m", "gradcube_agent"], env=environment, stderr=subprocess.DEVNULL)


def of_jobs(facts: list[Fact], metric: str) -> list[Fact]:
    return [fact for fact in facts if (fact["METRIC"], fact["SUBJECT_KIND"]) == (metric, "job")]


def test_clipping_and_reach_become_facts_of_the_job_and_of_the_node(kafka: KafkaSettings, tmp_path: Path) -> None:
    fleet, node = Fleet(f"clipped-{uuid.uuid4().hex[:8]}", RANKS), f"node-{uuid.uuid4().hex[:8]}"
    sampling = agent(kafka, node, tmp_path)

    def of_the_job() -> list[Fact] | None:
        found = facts_of(kafka, fleet.job)
        counted = sum(fact["SAMPLES"] for fact in of_jobs(found, "clipped_ratio"))
        return found if counted == STEPS * RANKS and of_jobs(found, "server_reachable_ratio") else None

    def of_the_node() -> dict[str, Fact] | None:
        own = {fact["METRIC"]: fact for fact in facts_of(kafka, "") if fact["SUBJECT"] == node}
        return own if "broker_reach_seconds" in own else None

    try:
        with producer(kafka) as client:
            feed(client, fleet, clip_norm=0.5)
        with worker(kafka, tmp_path):
            facts = wait_until(of_the_job, 60, "the job's facts", 0.5)
            found = wait_until(of_the_node, 60, "what the agent reached", 0.5)
    finally:
        sampling.terminate()
        sampling.wait(30)
    assert {fact["METRIC_VALUE"] for fact in of_jobs(facts, "clipped_ratio")} == {1.0}, "the reduced norm is 1.0"
    assert {fact["MODEL"] for fact in of_jobs(facts, "clipped_ratio")} == {"bert"}
    assert [fact["METRIC_VALUE"] for fact in of_jobs(facts, "server_reachable_ratio")] == [0.5]
    assert [fact["METRIC_VALUE"] for fact in of_jobs(facts, "server_reach_seconds")] == [0.25]
    assert (found["broker_reachable_ratio"]["METRIC_VALUE"], found["broker_reach_seconds"]["NODE"]) == (1.0, node)
    assert 0 < found["broker_reach_seconds"]["METRIC_MAX"] < 2
    assert found["store_reachable_ratio"]["METRIC_VALUE"] == 1.0
    assert found["gateway_reachable_ratio"]["METRIC_VALUE"] == 0.0
    assert "gateway_reach_seconds" not in found
