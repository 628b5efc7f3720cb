import math
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import gradcube
from gradcube.events import decode
from gradcube.telemetry.turns import Turn


class RecordingEmitter:
    def __init__(self) -> None:
        self.records: list[dict] = []
        self.dropped = 0

    def offer(self, topic: str, key: bytes, value: bytes) -> bool:
        assert (topic, key) == ("gradcube.steps", b"bert/1")
        self.records.append(decode(value)[1])
        return True

    def take_dropped(self, topic: str) -> int:
        dropped, self.dropped = self.dropped, 0
        return dropped

    def stats(self) -> SimpleNamespace:
        n = len(self.records)
        return SimpleNamespace(offered=n, acknowledged=n, dropped=0, pending=0, pending_bytes=0, connected=True)

    def flush(self, timeout_seconds: float) -> bool:
        return True

    def close(self, timeout_seconds: float) -> None:
        raise AssertionError("the caller's emitter is not the monitor's to close")


def build(**options):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.25)
    emitter = RecordingEmitter()
    monitor = gradcube.Monitor(model, optimizer, job="bert", rank=1, attempt=2, node="n", emitter=emitter, **options)
    return model, optimizer, monitor, emitter


def train(model, optimizer, monitor, steps=1, scale=1.0, **values):
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (model(torch.ones(3, 4)) * scale).mean()
        loss.backward()
        optimizer.step()
        monitor.step(loss, **values)


def test_step_is_one_record_with_its_phases_and_gradient():
    model, optimizer, monitor, emitter = build(bucket_bytes=1, gradient_statistics_every=1)
    train(model, optimizer, monitor, correct=torch.tensor(3), predicted=5)
    [record] = emitter.records
    gradient = torch.cat([p.grad.reshape(-1) for p in model.parameters()])
    assert record["grad_norm"] == pytest.approx(gradient.norm().item(), rel=1e-5)
    assert (record["correct"], record["predicted"], record["tokens"]) == (3, 5, None)
    assert (record["job"], record["rank"], record["attempt"], record["node"]) == ("bert", 1, 2, "n")
    assert record["learning_rate"] == 0.25
    assert record["nonfinite"] == 0
    assert math.isnan(record["global_grad_norm"])
    phases = [record[f"{n}_seconds"] for n in ("data", "forward", "backward", "sync_wait", "optimizer", "cpu")]
    assert all(seconds > 0 for seconds in phases)
    assert sum(phases[:5]) <= record["step_seconds"] * 1.001
    last = list(model.parameters())[-1].grad
    assert record["bucket_bytes"][0] == 4 * last.numel()
    assert record["bucket_grad_absmax"][0] == pytest.approx(last.abs().max().item())
    assert all(0 < ready < record["step_seconds"] for ready in record["bucket_ready_seconds"])
    assert all(math.isnan(sent) for sent in record["bucket_sent_seconds"])


def test_statistics_are_nan_in_steps_that_are_not_due():
    model, optimizer, monitor, emitter = build(gradient_statistics_every=3)
    train(model, optimizer, monitor, steps=4)
    measured = [not math.isnan(record["grad_norm"]) for record in emitter.records]
    assert measured == [True, False, False, True]
    assert [record["seq"] for record in emitter.records] == [0, 1, 2, 3]


def test_each_bucket_is_described_once_a_cycle_and_never_all_in_one_step():
    model, optimizer, monitor, emitter = build(bucket_bytes=1, gradient_statistics_every=5)
    train(model, optimizer, monitor, steps=10)
    described = [[not math.isnan(x) for x in record["bucket_grad_absmax"]] for record in emitter.records]
    assert [sum(step) for step in described] == [0, 1, 1, 1, 1] * 2
    assert [sum(bucket) for bucket in zip(*described, strict=True)] == [2] * 4
    norms = [[not math.isnan(x) for x in record["bucket_grad_norm"]] for record in emitter.records]
    assert [sum(step) for step in norms] == [4, 1, 1, 1, 1] * 2
    assert [i for i, record in enumerate(emitter.records) if not math.isnan(record["grad_norm"])] == [0, 5]


@given(step=st.integers(0, 1000), every=st.integers(1, 70), bucket=st.integers(0, 63))
def test_every_bucket_has_one_turn_in_a_cycle(step, every, bucket):
    turns = [Turn(at, every) for at in range(step, step + every)]
    assert sum(turn.has(bucket) for turn in turns) == sum(turn.norms for turn in turns) == 1
    assert Turn(step, every, everything=True).has(bucket)


@pytest.mark.parametrize("scale", [math.nan, math.inf])
def test_broken_loss_is_sent_and_its_gradient_counted_in_any_step(scale):
    model, optimizer, monitor, emitter = build(gradient_statistics_every=100)
    train(model, optimizer, monitor)
    train(model, optimizer, monitor, scale=scale)
    record = emitter.records[1]
    assert not math.isfinite(record["loss"])
    assert record["nonfinite"] > 1


def test_failure_inside_the_monitor_does_not_reach_the_loop_and_switches_it_off():
    ticks = iter(range(60))
    model, optimizer, monitor, emitter = build(clock=lambda: float(next(ticks)))
    before = model[0].weight.detach().clone()
    train(model, optimizer, monitor, steps=30)
    monitor.close()
    assert not monitor.stats().active
    assert 0 < len(emitter.records) < 30
    assert not torch.equal(before, model[0].weight)


def test_wrong_values_of_a_step_switch_the_monitor_off():
    model, optimizer, monitor, emitter = build()
    monitor.step("not a number")
    train(model, optimizer, monitor)
    assert not monitor.stats().active
    assert emitter.records == []


def test_sync_wait_phase_measures_the_gradient_first():
    model, _, monitor, emitter = build()
    model(torch.ones(3, 4)).mean().backward()
    norm = torch.cat([p.grad.reshape(-1) for p in model.parameters()]).norm().item()
    with monitor.phase("sync_wait"):
        for parameter in model.parameters():
            parameter.grad.zero_()
    monitor.step(1.0)
    assert emitter.records[0]["grad_norm"] == pytest.approx(norm, rel=1e-5)
    assert emitter.records[0]["sync_wait_seconds"] > 0


def test_unknown_phase_is_not_an_error():
    *_, monitor, _ = build()
    with monitor.phase("lunch"):
        pass
    assert monitor.stats().active


def test_drops_of_the_emitter_are_in_the_next_record():
    model, optimizer, monitor, emitter = build()
    emitter.dropped = 7
    train(model, optimizer, monitor, steps=2)
    assert [record["dropped"] for record in emitter.records] == [7, 0]


def test_disabled_monitor_does_nothing():
    monitor = gradcube.Monitor(enabled=False)
    with monitor.phase("data"):
        monitor.step(1.0)
    monitor.close()
    assert monitor.stats().steps == 0


def test_closed_monitor_leaves_no_hook():
    model, optimizer, monitor, emitter = build()
    monitor.close()
    train(model, optimizer, monitor)
    assert emitter.records == []
    assert not model._forward_hooks
    assert not model._forward_pre_hooks


def test_import_loads_nothing_heavy():
    code = "import sys, gradcube; print([m for m in ('torch', 'kafka', 'pydantic', 'numpy') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
