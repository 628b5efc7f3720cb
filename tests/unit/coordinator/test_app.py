"""The routes: statuses, bodies, and the records that leave for Kafka."""

from collections.abc import Iterator

import httpx
import pytest
from tests.unit.coordinator.serving import new_registry, serve

from gradcube.events.codec import decode
from gradcube.sync.coordinator_models import CommandView
from gradcube_coordinator.app import Coordinator
from gradcube_coordinator.jobs import Event
from gradcube_coordinator.lifecycle import LIFECYCLE_TOPIC, offer_events

JOB = {
    "job": "bert",
    "model": "tiny",
    "model_parameters": 10,
    "samples": 8,
    "global_batch_size": 4,
    "steps": 5,
    "seed": 1,
    "world_size": 1,
}
MEMBER = {"rank": None, "node": "a", "pid": 5}


class Stage:
    def __init__(self) -> None:
        self.now = 0.0
        self.events: list[Event] = []
        self.coordinator = Coordinator(new_registry(3), self.events.extend, clock=lambda: self.now)
        self.http = httpx.Client()


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    with serve(made.coordinator) as url, httpx.Client(base_url=url) as made.http:
        yield made


def test_a_job_goes_from_made_to_running_to_finished(stage: Stage) -> None:
    http = stage.http
    assert http.post("/v1/jobs", json=JOB).json()["state"] == "waiting"
    lease = http.post("/v1/jobs/bert/members", json=MEMBER).json()
    assert (lease["rank"], lease["attempt"], lease["lease_seconds"]) == (0, 1, 3)
    body = {"shard": 0, "shards": 1, "address": "h:1", "node": "b"}
    server = http.post("/v1/jobs/bert/servers", json=body).json()
    beat = {"version": -1, "attempt": 1}
    assert http.put(f"/v1/jobs/bert/servers/{server['lease_id']}", json=beat).json()["ranks"] == [0]
    assignment = http.get("/v1/jobs/bert/assignment").json()
    assert assignment["ready"]
    assert assignment["servers"] == [{"shard": 0, "address": "h:1"}]
    stage.coordinator.command("bert", CommandView(id="1", action="stop", arguments={}))
    answer = http.put(f"/v1/jobs/bert/members/{lease['lease_id']}", json={"step": 3}).json()
    assert answer["commands"] == [{"id": "1", "action": "stop", "arguments": {}}]
    assert http.get("/v1/members", params={"node": "a"}).json()[0]["pid"] == 5
    assert http.get("/v1/members", params={"node": "z"}).json() == []
    gone = http.delete(f"/v1/jobs/bert/members/{lease['lease_id']}", params={"finished": "true"})
    assert gone.status_code == 204
    assert http.get("/v1/jobs").json()[0]["state"] == "finished"
    assert http.get("/status").json()["jobs"]["bert"]["state"] == "finished"


def test_refusals_have_their_statuses_and_say_what_to_do(stage: Stage) -> None:
    http = stage.http
    assert http.get("/v1/jobs/none").status_code == 404
    http.post("/v1/jobs", json=JOB)
    lease = http.post("/v1/jobs/bert/members", json=MEMBER).json()["lease_id"]
    taken = http.post("/v1/jobs/bert/members", json=MEMBER | {"rank": 0})
    assert taken.status_code == 409
    assert "process 5 on a" in taken.json()["detail"]
    assert http.post("/v1/jobs", json=JOB | {"seed": 2}).status_code == 409
    stage.now = 10
    assert http.put(f"/v1/jobs/bert/members/{lease}", json={"step": 1}).status_code == 410


@pytest.mark.parametrize("change", [{"job": "../x"}, {"steps": 0}, {"world_size": "many"}, {"surprise": 1}])
def test_a_wrong_description_is_refused_before_anything_is_made(stage: Stage, change: dict[str, object]) -> None:
    assert stage.http.post("/v1/jobs", json=JOB | change).status_code == 422
    assert stage.http.get("/v1/jobs").json() == []


def test_health_routes_answer(stage: Stage) -> None:
    assert stage.http.get("/live").json() == {"live": True}
    assert stage.http.get("/ready").json()["ready"]
    assert "gradcube_coordinator_members 0.0" in stage.http.get("/metrics").text


def test_events_leave_as_lifecycle_records_keyed_by_job(stage: Stage) -> None:
    stage.http.post("/v1/jobs", json={**JOB, "own_grad_clip_norm": 0.5})
    stage.http.post("/v1/jobs/bert/members", json=MEMBER)
    sent: list[tuple[str, bytes, bytes]] = []

    class Outlet:
        def offer(self, topic: str, key: bytes, value: bytes) -> bool:
            sent.append((topic, key, value))
            return False  # the broker is dead: nothing changes

    offer_events(Outlet(), stage.events, 123)
    assert {(topic, key) for topic, key, _ in sent} == {(LIFECYCLE_TOPIC, b"bert")}
    name, record = decode(sent[-1][2])
    assert name == "Lifecycle"
    assert (record["kind"], record["rank"], record["node"], record["at"]) == ("RANK_JOINED", 0, "a", 123)
    assert (record["model"], record["model_parameters"], record["world_size"]) == ("tiny", 10, 1)
    assert (record["grad_clip_norm"], record["own_grad_clip_norm"]) == (None, 0.5)
