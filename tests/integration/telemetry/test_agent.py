"""The agent as a process, against a real broker."""

import os
import signal
import subprocess
import sys
import uuid

import httpx
from tests.waiting import wait_until

from gradcube.bus.consumer import BatchConsumer
from gradcube.events import decode
from gradcube.ports import free_port


def test_agent_samples_into_kafka_and_ends_cleanly_on_sigterm(kafka):
    port, node = free_port(), f"node-{uuid.uuid4().hex[:8]}"
    environment = os.environ | {
        "GRADCUBE_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "GRADCUBE_AGENT_NODE": node,
        "GRADCUBE_AGENT_PORT": str(port),
        "GRADCUBE_AGENT_INTERVAL_SECONDS": "0.2",
    }
    agent = subprocess.Popen([sys.executable, "-m", "gradcube_agent"], env=environment)
    try:
        with BatchConsumer(kafka, ["gradcube.resources"]) as consumer:
            samples = wait_until(lambda: host_samples(consumer, node), 60, "samples")
        status = wait_until(lambda: acknowledged(port), 30, "acknowledged samples")
    finally:
        agent.send_signal(signal.SIGTERM)
        ended = agent.wait(timeout=30)
    assert ended == 0
    assert samples[0]["memory_used_bytes"] > 0
    assert samples[0]["cpu_utilization_ratio"] is None
    assert status["samples"] >= status["acknowledged"] > 0
    assert (status["dropped"], status["ranks"]) == (0, [])


def host_samples(consumer: BatchConsumer, node: str) -> list[dict]:
    """What this node's agent said of its host; agents of other tests may have written before."""
    return [decode(record.value)[1] for record in consumer.poll(1.0) if record.key == f"{node}/host".encode()]


def acknowledged(port: int) -> dict | None:
    try:
        status = httpx.get(f"http://127.0.0.1:{port}/status", trust_env=False).json()
    except httpx.ConnectError:
        return None  # it begins to sample before it listens
    return status if status["acknowledged"] else None
