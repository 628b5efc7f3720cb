from collections.abc import Iterator, Sequence

import numpy as np
from tests.unit.diagnosis.making import START, STEP_MICROS, frame, states

from gradcube.diagnosis import Diagnosis, Finding, catalog
from gradcube.diagnosis.servers.slow_shard import SlowShardDetector
from gradcube.windows.rows import SERVER_FLOATS, ServerRows

SHARDS, VERSIONS, ONSET, END = 3, 90, 40, 60
USUAL_SECONDS, STEP_SECONDS = 0.010, 0.2


def rows(version: int, apply_seconds: Sequence[float], pushes: int = 4, attempt: int = 0) -> ServerRows:
    """One version of each shard."""
    count = len(apply_seconds)
    floats = np.full((count, len(SERVER_FLOATS)), np.nan)
    floats[:, SERVER_FLOATS.index("apply_seconds")] = apply_seconds
    floats[:, SERVER_FLOATS.index("pushes")] = pushes
    at = np.full(count, START + version * STEP_MICROS)
    return ServerRows(
        job="bert", attempt=np.full(count, attempt, np.int32), shard=np.arange(count, dtype=np.int32),
        node=np.array([f"server-{shard}" for shard in range(count)], object), version=np.full(count, version),
        ended_at_micros=at, appended_at_micros=at, offset=np.full(count, version), floats=floats,
    )  # fmt: skip


def versions(slow: dict[int, float], seed: int = 0) -> Iterator[list[float]]:
    """What each shard takes for each version: noise of 10 %, and shards that are slow from ONSET to END."""
    rng = np.random.default_rng(seed)
    for version in range(VERSIONS):
        factor = [slow.get(shard, 1.0) if ONSET <= version < END else 1.0 for shard in range(SHARDS)]
        yield (USUAL_SECONDS * np.array(factor) * rng.lognormal(0, 0.1, SHARDS)).tolist()


def watch(detector: SlowShardDetector, slow: dict[int, float], step_seconds: float = STEP_SECONDS) -> list[Finding]:
    findings = []
    for version, seconds in enumerate(versions(slow)):
        findings += detector.observe(frame(version, step_seconds=step_seconds))
        findings += detector.observe_servers(rows(version, seconds))
    return findings


def test_healthy_shards_are_quiet() -> None:
    assert watch(SlowShardDetector(), {}) == []


def test_a_slow_shard_is_named_with_its_node_its_past_and_the_others() -> None:
    opened, closed = watch(SlowShardDetector(), {1: 3.0})
    assert (opened.state, opened.subject.shard, opened.subject.node) == ("OPENED", 1, "server-1")
    assert (opened.onset_step, opened.detected_step) == (ONSET, ONSET + 4)
    assert abs(opened.magnitude / 3 - 1) < 0.15
    assert "shard 1 on server-1 takes" in opened.verdict
    assert [piece.signal for piece in opened.evidence] == ["apply_seconds", "apply_seconds_of_other_shards"]
    assert (closed.state, closed.end_step) == ("CLOSED", END - 1)


def test_what_costs_next_to_nothing_of_a_step_is_not_worth_a_word() -> None:
    assert watch(SlowShardDetector(), {1: 3.0}, step_seconds=2.0) == []


def test_without_the_time_of_a_step_it_is_told_all_the_same() -> None:
    assert states(watch(SlowShardDetector(), {1: 3.0}, step_seconds=np.nan)) == ["OPENED", "CLOSED"]


def test_a_pause_of_a_few_versions_is_no_finding() -> None:
    detector, findings = SlowShardDetector(), []
    for version in range(VERSIONS):
        seconds = USUAL_SECONDS * (20 if version % 20 < 4 and version > 30 else 1)
        findings += detector.observe(frame(version, step_seconds=STEP_SECONDS))
        findings += detector.observe_servers(rows(version, [seconds] * SHARDS))
    assert findings == []


def test_versions_without_pushes_tell_nothing() -> None:
    detector, findings = SlowShardDetector(), []
    for version in range(VERSIONS):
        seconds = USUAL_SECONDS * (9 if version > ONSET else 1)
        findings += detector.observe(frame(version, step_seconds=STEP_SECONDS))
        findings += detector.observe_servers(rows(version, [seconds], pushes=0 if version > ONSET else 4))
    assert findings == []


def test_an_open_episode_goes_on_after_a_restart() -> None:
    first, opened = SlowShardDetector(), []
    cut = ONSET + 8
    every = list(versions({1: 3.0}))
    for version in range(cut):
        opened += first.observe(frame(version, step_seconds=STEP_SECONDS))
        opened += first.observe_servers(rows(version, every[version]))
    second, findings = SlowShardDetector(), list[Finding]()
    second.restore(opened)
    for version in range(cut, VERSIONS):
        findings += second.observe(frame(version, step_seconds=STEP_SECONDS))
        findings += second.observe_servers(rows(version, every[version]))
    assert [(found.state, found.id) for found in findings] == [("CLOSED", opened[0].id)]
    assert findings[0].end_step == END - 1


def test_the_engine_hears_versions_of_its_own_attempt_alone() -> None:
    for attempt, expected in ((0, ["OPENED"]), (1, [])):
        diagnosis = Diagnosis("bert", 0, [SlowShardDetector()])
        diagnosis._observe([frame(0, step_seconds=STEP_SECONDS)])
        findings = []
        for version in range(ONSET):
            seconds = USUAL_SECONDS * (4 if version > ONSET - 8 else 1)
            findings += diagnosis.add_servers(rows(version, [seconds] * 1, attempt=attempt))
        assert states(findings) == expected


def test_of_two_detectors_of_one_kind_each_goes_on_with_its_own() -> None:
    opened, _ = watch(SlowShardDetector(), {1: 3.0})
    assert [each.name for each in catalog.build() if each.is_own(opened)] == ["slow_shard"]
