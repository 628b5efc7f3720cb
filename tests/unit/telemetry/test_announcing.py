"""What a monitor tells of its job's clipping."""

from types import SimpleNamespace

import pytest

import gradcube
from gradcube.errors import ConfigError
from gradcube.events import decode


class Emitter:
    def __init__(self) -> None:
        self.records: list[tuple[str, bytes, dict]] = []

    def offer(self, topic: str, key: bytes, value: bytes) -> bool:
        self.records.append((topic, key, decode(value)[1]))
        return True

    def take_dropped(self, topic: str) -> int:
        return 0

    def stats(self) -> SimpleNamespace:
        return SimpleNamespace()

    def flush(self, timeout_seconds: float) -> bool:
        return True


def announced(**options) -> list[tuple[str, bytes, dict]]:
    emitter = Emitter()
    gradcube.Monitor(job="bert", node="n", emitter=emitter, **options)
    return emitter.records


def test_rank_0_tells_the_threshold_once_at_its_start(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    [(topic, key, record)] = announced(rank=0, attempt=2, grad_clip_norm=1)
    assert (topic, key) == ("gradcube.lifecycle", b"bert")
    assert (record["job"], record["attempt"], record["kind"], record["world_size"]) == ("bert", 2, "OTHER", 4)
    assert (record["grad_clip_norm"], record["own_grad_clip_norm"]) == (1.0, None)
    assert (record["model"], record["model_parameters"]) == ("", 0)
    assert record["detail"] == "gradients are clipped to a norm of 1"


@pytest.mark.parametrize("options", [{"rank": 1, "grad_clip_norm": 1.0}, {"rank": 0}])
def test_other_ranks_and_jobs_that_do_not_clip_tell_nothing(options):
    assert announced(**options) == []


@pytest.mark.parametrize("threshold", [0, -1.0, float("nan")])
def test_a_threshold_that_is_none_is_refused(threshold):
    with pytest.raises(ValueError, match="grad_clip_norm"):
        announced(rank=0, grad_clip_norm=threshold)


def test_a_world_size_that_is_no_number_is_named(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "many")
    with pytest.raises(ConfigError, match="WORLD_SIZE"):
        announced(rank=0, grad_clip_norm=1.0)
