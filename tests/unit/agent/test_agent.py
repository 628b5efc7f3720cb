import json
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import httpx
import pytest
from tests.unit.telemetry.fake_nvml import FakeNvml
from tests.waiting import wait_until

from gradcube.errors import ConfigError
from gradcube.events import decode
from gradcube.ports import free_port
from gradcube.sync.coordinator_client import CoordinatorClient
from gradcube.telemetry.gpus import GpuReader
from gradcube.telemetry.sampler import ResourceSampler
from gradcube_agent.agent import Agent
from gradcube_agent.ranks import RankWatcher
from gradcube_agent.settings import AgentSettings
from gradcube_agent.targets import MAX_TARGETS, brokers


class RecordingEmitter:
    def __init__(self) -> None:
        self.records: list[tuple[str, bytes, dict]] = []

    def offer(self, topic: str, key: bytes, value: bytes) -> bool:
        self.records.append((topic, key, decode(value)[1]))
        return True

    def stats(self) -> SimpleNamespace:
        return SimpleNamespace(acknowledged=3, dropped=2, pending=1, connected=True)


class Coordinator:
    """Answers /v1/members with `status` and `body`; keeps the paths that were asked."""

    def __init__(self) -> None:
        self.status, self.body, self.paths = 200, [], []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.paths.append(self.path)
                body = json.dumps(owner.body).encode()
                self.send_response(owner.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def coordinator():
    coordinator = Coordinator()
    yield coordinator
    coordinator.close()


def member(**changes) -> dict:
    return {"job": "bert", "attempt": 1, "rank": 3, "pid": os.getpid(), "node": "n"} | changes


def build(**settings) -> tuple[Agent, RecordingEmitter]:
    emitter = RecordingEmitter()
    sampler = ResourceSampler("n", gpus=GpuReader(FakeNvml()))
    return Agent(AgentSettings.load(node="n", **settings), emitter, sampler), emitter


class Running:
    """An agent in a thread, from `with` to its end."""

    def __init__(self, agent: Agent) -> None:
        self.agent, self.stopped = agent, threading.Event()
        self.thread = threading.Thread(target=agent.run, args=(self.stopped,))

    def __enter__(self) -> "Running":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.thread.join(timeout=10)
        assert not self.thread.is_alive()

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.agent.port}{path}", trust_env=False)


def test_host_and_gpus_are_sampled_without_a_coordinator():
    agent, emitter = build(interval_seconds=0.05)
    with Running(agent) as running:
        wait_until(lambda: len(emitter.records) >= 4, 10, "two rounds of samples")
        status = running.get("/status").json()
        assert running.get("/ready").status_code == running.get("/live").status_code == 200
    assert {(topic, key) for topic, key, _ in emitter.records} == {
        ("gradcube.resources", b"n/host"),
        ("gradcube.resources", b"n/gpu:0"),
    }
    assert status["samples"] >= 4
    assert (status["acknowledged"], status["dropped"], status["ranks"], status["coordinator"]) == (3, 2, [], None)


def test_ranks_on_the_node_are_sampled_under_their_names(coordinator):
    coordinator.body = [member()]
    agent, emitter = build(interval_seconds=0.05, coordinator_url=coordinator.url)

    def of_the_rank() -> list[dict]:
        return [record for _, key, record in list(emitter.records) if key == f"n/process:{os.getpid()}".encode()]

    with Running(agent) as running:
        record = wait_until(of_the_rank, 10, "a sample of the rank's process")[0]
        status = running.get("/status").json()
    assert (record["job"], record["attempt"], record["rank"]) == ("bert", 1, 3)
    assert record["memory_used_bytes"] > 0
    assert (status["ranks"], status["coordinator"]) == (["bert/3"], True)
    assert coordinator.paths[0] == "/v1/members?node=n"


def test_silent_coordinator_does_not_stop_the_samples():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        agent, emitter = build(interval_seconds=0.05, coordinator_url=url)
        with Running(agent):
            wait_until(lambda: len(emitter.records) >= 4, 10, "samples")
            assert agent.status()["coordinator"] is False


@pytest.mark.parametrize(("status", "body"), [(500, []), (404, {}), (200, {"no": "list"}), (200, [{"rank": "x"}])])
def test_ranks_stay_while_the_coordinator_gives_no_good_answer(coordinator, status, body):
    coordinator.body = [member()]
    with CoordinatorClient(coordinator.url, retry_seconds=0) as client:
        watcher = RankWatcher(client, "n", poll_seconds=0.01)
        watcher.start()
        known = wait_until(lambda: watcher.ranks, 10, "the rank")
        coordinator.status, coordinator.body = status, body
        wait_until(lambda: not watcher.answered, 10, "the bad answer")
        assert watcher.ranks == known
        coordinator.status, coordinator.body = 200, []
        wait_until(lambda: watcher.answered and not watcher.ranks, 10, "the good answer")
        watcher.close()


def test_what_was_reached_goes_with_the_host_and_the_ranks_once_a_round(coordinator, tmp_path):
    coordinator.body = [member()]
    emitter = RecordingEmitter()
    with socket.create_server(("127.0.0.1", 0)) as broker:
        address = f"127.0.0.1:{broker.getsockname()[1]}"
        settings = AgentSettings.load(
            node="n", coordinator_url=coordinator.url, interval_seconds=0.05, probe_seconds=0.2,
            probes=f"store={tmp_path},gateway=127.0.0.1:{free_port()}",
        )  # fmt: skip
        sampler = ResourceSampler("n", gpus=GpuReader(FakeNvml()))
        agent = Agent(settings, emitter, sampler, brokers=brokers(address))
        own = f"n/process:{os.getpid()}".encode()
        with Running(agent) as running:
            wait_until(lambda: [r for _, key, r in list(emitter.records) if key == own and r["reach"]], 10, "a round")
            status = running.get("/status").json()
    by_key = {key: [r["reach"] for _, found, r in emitter.records if found == key] for _, key, _ in emitter.records}
    first = next(reach for reach in by_key[b"n/host"] if reach)
    assert [(each["dependency"], each["name"], each["seconds"] is not None) for each in first] == [
        ("BROKER", address, True), ("STORE", str(tmp_path), True), ("GATEWAY", settings.targets[1].name, False),
    ]  # fmt: skip
    assert [] in by_key[b"n/host"], "samples are more frequent than rounds"
    assert not any(by_key[b"n/gpu:0"])
    assert status["reach"][0]["name"] == address


def test_servers_of_the_ranks_jobs_are_known_from_the_coordinator(coordinator):
    assignment = {"epoch": 1, "attempt": 1, "ready": True, "ranks": [3], "shards": 1}
    coordinator.body = [member()]
    with CoordinatorClient(coordinator.url, retry_seconds=0) as client:
        watcher = RankWatcher(client, "n", poll_seconds=0.01)
        assert watcher.servers() == []
        watcher.ranks = watcher._ask()
        coordinator.body = assignment | {
            "servers": [{"shard": 0, "address": "ps:7100"}, {"shard": 1, "address": "ps:7101"}]
        }
        assert [each.name for each in watcher.servers()] == ["ps:7100", "ps:7101"]
        coordinator.status = 500
        assert [each.name for each in watcher.servers()] == ["ps:7100", "ps:7101"], "as they were"
        coordinator.status, coordinator.body = 200, assignment | {"servers": [{"shard": 0, "address": "nonsense"}]}
        assert len(watcher.servers()) == 2
        coordinator.body["servers"] = [{"shard": shard, "address": f"ps:{7000 + shard}"} for shard in range(100)]
        assert len(set(watcher.servers())) == MAX_TARGETS
        watcher.ranks = ()
        assert watcher.servers() == []
    assert coordinator.paths[1] == "/v1/jobs/bert/assignment"


def test_agent_without_samples_is_not_ready():
    now = [100.0]
    agent = Agent(
        AgentSettings.load(node="n"),
        RecordingEmitter(),
        ResourceSampler("n", gpus=GpuReader(FakeNvml())),
        clock=lambda: now[0],
    )
    assert agent._checks() == {"sampling": False}
    agent.sample()
    assert agent._checks() == {"sampling": True}
    now[0] += 60
    assert agent._checks() == {"sampling": False}
    agent._health._server.server_close()


def test_metrics_show_the_counters():
    agent, _ = build(interval_seconds=0.05)
    with Running(agent) as running:
        text = running.get("/metrics").text
    assert "gradcube_agent_acknowledged 3.0" in text
    assert "gradcube_agent_dropped 2.0" in text


def test_settings_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("GRADCUBE_AGENT_INTERVAL_SECONDS", "0.5")
    monkeypatch.setenv("GRADCUBE_AGENT_COORDINATOR_URL", "http://c:1")
    settings = AgentSettings.load()
    assert (settings.interval_seconds, settings.coordinator_url) == (0.5, "http://c:1")
    assert settings.node == socket.gethostname()


def test_wrong_interval_is_named():
    with pytest.raises(ConfigError, match="GRADCUBE_AGENT_INTERVAL_SECONDS"):
        AgentSettings.load(interval_seconds=0)
