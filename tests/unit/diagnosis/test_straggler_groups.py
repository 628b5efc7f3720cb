"""Several slow ranks with one cause are one finding; what ranks of a replica share is nobody's fault."""

from dataclasses import replace

import numpy as np
import pytest
from tests.unit.diagnosis.simulating import frames_of, noise, watch

from gradcube.diagnosis import Finding, StragglerDetector

ONSET, STEPS = 100, 160
STAGE, REPLICA = np.repeat(np.arange(4), 4), np.tile(np.arange(4), 4)
NODE = [f"node-{rank // 2}" for rank in range(16)]


def grid(seed: int, slow: np.ndarray | None = None, factor: float = 1.0, shared: float = 0.0) -> np.ndarray:
    """16 ranks, 4 stages of 4 replicas; `shared` is the noise that a replica's ranks have in common."""
    compute = 0.1 * noise(STEPS, 16, 0.006, 0.2, seed)
    compute *= noise(STEPS, 4, shared, 0.0, seed + 1)[:, REPLICA]
    if slow is not None:
        compute[ONSET:, slow] *= factor
    return compute


def findings(compute: np.ndarray, **how: object) -> list[Finding]:
    found = watch(compute, stage=STAGE.tolist(), replica=REPLICA.tolist(), **how)
    return [finding for finding in found if finding.state == "OPENED"]


@pytest.mark.parametrize("factor", [1.05, 1.1, 1.5])
def test_a_slow_node_is_one_finding_and_none_of_its_ranks_is_blamed(factor: float) -> None:
    (episode,) = findings(grid(1, np.array([6, 7]), factor), node=NODE)
    assert (episode.kind, episode.subject.node, episode.subject.rank) == ("FAIL_SLOW", "node-3", None)
    assert episode.onset_step == ONSET
    assert episode.detected_step <= ONSET + 4
    assert episode.magnitude == pytest.approx(factor, rel=0.03)
    assert episode.verdict.startswith("node node-3 is ")


def test_a_slow_stage_is_one_finding() -> None:
    (episode,) = findings(grid(2, STAGE == 2, 1.1))
    assert (episode.kind, episode.subject.stage, episode.subject.rank) == ("FAIL_SLOW", 2, None)
    assert episode.magnitude == pytest.approx(1.1, rel=0.03)


def test_a_slow_replica_is_one_finding() -> None:
    (episode,) = findings(grid(3, REPLICA == 1, 1.1))
    assert (episode.kind, episode.subject.replica, episode.subject.rank) == ("FAIL_SLOW", 1, None)
    assert episode.magnitude == pytest.approx(1.1, rel=0.03)


def test_three_slow_ranks_of_a_replica_are_three_findings() -> None:
    found = findings(grid(4, np.array([1, 5, 9]), 1.1))
    assert {(f.kind, f.subject.rank) for f in found} == {("STRAGGLER", 1), ("STRAGGLER", 5), ("STRAGGLER", 9)}


@pytest.mark.parametrize("seed", range(3))
def test_sequences_of_different_lengths_blame_nobody(seed: int) -> None:
    assert findings(grid(seed, shared=0.117)) == []


@pytest.mark.parametrize("seed", range(3))
def test_a_slow_rank_is_named_under_sequences_of_different_lengths(seed: int) -> None:
    (episode,) = findings(grid(seed, np.array([9]), 1.1, shared=0.117))
    assert episode.subject.rank == 9
    assert episode.detected_step <= ONSET + 4
    assert episode.magnitude == pytest.approx(1.1, rel=0.03)


def test_a_node_a_little_slower_from_the_first_step_is_told_once() -> None:
    compute = grid(5)
    compute[:, 4:6] *= 1.07
    (told,) = watch(compute, stage=STAGE.tolist(), replica=REPLICA.tolist(), node=NODE)
    assert (told.kind, told.subject.node, told.subject.rank) == ("OTHER", "node-2", None)


def test_a_longer_batch_for_all_is_no_finding() -> None:
    compute = grid(6)
    compute[ONSET:] *= 1.8
    tokens = np.full(compute.shape, 4_096)
    tokens[ONSET:] = 8_192
    assert findings(compute, tokens=tokens) == []


def test_a_rank_that_becomes_slow_after_a_change_of_batches_is_named() -> None:
    compute = grid(7, np.array([3]), 1.3)
    compute[50:] *= 1.8
    tokens = np.full(compute.shape, 4_096)
    tokens[50:] = 8_192
    (episode,) = findings(compute, tokens=tokens)
    assert (episode.subject.rank, episode.onset_step) == (3, ONSET)


@pytest.mark.parametrize("every", [20, 50])
def test_pauses_of_the_whole_job_are_no_finding(every: int) -> None:
    compute = grid(8)
    compute[::every] *= 3.4
    assert findings(compute) == []


def test_an_update_that_reaches_one_rank_late_is_its_link() -> None:
    late = np.zeros((STEPS, 16))
    late[ONSET:, 5] = 0.03
    (episode,) = findings(grid(9), late=late)
    assert (episode.kind, episode.subject.rank, episode.subject.link) == ("FAIL_SLOW", 5, "rank 5")
    assert "waiting for the exchange" in episode.verdict


def test_an_exchange_that_became_slow_for_all_is_the_jobs() -> None:
    late = np.zeros((STEPS, 16))
    late[ONSET:] = 0.03
    (episode,) = findings(grid(10), late=late)
    assert episode.kind == "FAIL_SLOW"
    assert episode.verdict.startswith("the whole job is 1.")
    assert "waiting for the exchange" in episode.verdict


def test_a_rank_that_joins_and_one_that_moves_change_nothing_for_the_others() -> None:
    compute = grid(11, np.array([9]), 1.2)
    compute[:40, 15] = np.nan
    (episode,) = findings(compute)
    assert episode.subject.rank == 9


@pytest.mark.parametrize("seed", range(3))
def test_gaps_nans_and_ranks_that_move_raise_nothing_and_hide_no_slow_node(seed: int) -> None:
    rng = np.random.default_rng(seed)
    compute = grid(seed, np.array([2, 3]), 1.5)
    compute[rng.random(compute.shape) < 0.2] = np.nan
    compute[:, 0] = 0.1
    compute[30:60, 5] = -1.0
    compute[20, :] = 0.0
    detector = StragglerDetector()
    found: list[Finding] = []
    for frame in frames_of(compute, stage=STAGE.tolist(), replica=REPLICA.tolist(), node=NODE):
        frame.floats[rng.random(frame.floats.shape) < 0.05] = np.nan
        moved = frame.node.copy()
        moved[0] = "spare" if frame.step in range(8, 90) else NODE[0]
        found += detector.observe(replace(frame, node=moved))
    assert all(np.isfinite(f.magnitude) and 0 <= f.confidence <= 1 for f in found)
    assert {f.subject.node for f in found if f.state == "OPENED"} >= {"node-1"}


@pytest.mark.parametrize("seed", range(3))
def test_a_new_level_of_the_whole_job_is_told_after_three_steps(seed: int) -> None:
    compute = grid(seed)
    compute[ONSET:] *= 1.1
    (episode,) = findings(compute)
    assert (episode.kind, episode.onset_step) == ("FAIL_SLOW", ONSET)
    assert episode.detected_step == ONSET + 2
    assert episode.verdict.startswith("the whole job is 1.")


def test_three_slow_steps_of_the_whole_job_that_differ_are_a_pause() -> None:
    compute = grid(12)
    compute[ONSET : ONSET + 3] *= np.array([2.0, 1.4, 1.2])[:, None]
    assert findings(compute) == []


@pytest.mark.parametrize("seed", range(3))
def test_a_rank_that_is_slow_again_and_again_is_never_the_whole_job(seed: int) -> None:
    compute = grid(seed)
    for start in range(40, STEPS - 10, 10):
        compute[start : start + 6, 9] *= 1.6
    found = findings(compute)
    assert len(found) > 1
    assert {episode.subject.rank for episode in found} == {9}


@pytest.mark.parametrize("seed", range(3))
def test_ranks_of_a_replica_that_recover_together_leave_the_blame_with_nobody_else(seed: int) -> None:
    compute = grid(seed)
    for start in range(60, STEPS - 10, 10):
        compute[start : start + 6, [1, 5, 9]] *= 1.6
    assert {episode.subject.rank for episode in findings(compute)} == {1, 5, 9}


@pytest.mark.parametrize("factor", [1.6, 2.0])
def test_a_node_that_becomes_slower_and_slower_is_one_episode(factor: float) -> None:
    compute = grid(13)
    compute[ONSET:, 6:8] *= 1 + (factor - 1) * np.clip((np.arange(STEPS - ONSET) + 1) / 10, 0, 1)[:, None]
    found = watch(compute, stage=STAGE.tolist(), replica=REPLICA.tolist(), node=NODE)
    assert {(episode.id, episode.subject.node) for episode in found} == {(found[0].id, "node-3")}
    assert found[-1].magnitude == pytest.approx(factor, rel=0.03)
