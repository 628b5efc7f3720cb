import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.diagnosis.simulating import frames_of, noise, watch

from gradcube.diagnosis import Finding, StragglerDetector, StragglerSettings, Subject

SLOW, ONSET, END = 2, 150, 250
SCATTER = [(0.01, 0.0), (0.05, 0.3), (0.1, 0.3), (0.15, 0.0)]
"""Noise of one step and its lag-1 correlation: from a dedicated cluster to four ranks on two busy cores."""


def job(sigma: float, memory: float, seed: int, factor: float = 1.0, steps: int = 400, ranks: int = 4) -> np.ndarray:
    compute = 0.1 * noise(steps, ranks, sigma, memory, seed)
    compute[ONSET:END, SLOW] *= factor
    return compute


def opened(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.state == "OPENED"]


@pytest.mark.parametrize(("sigma", "memory"), SCATTER)
@pytest.mark.parametrize("seed", range(2))
def test_a_healthy_job_has_no_findings(sigma: float, memory: float, seed: int) -> None:
    assert watch(job(sigma, memory, seed, steps=500)) == []


@pytest.mark.parametrize(("sigma", "memory"), SCATTER)
@pytest.mark.parametrize("seed", range(2))
def test_the_slow_rank_is_named_and_nobody_else(sigma: float, memory: float, seed: int) -> None:
    episode, *others = opened(watch(job(sigma, memory, seed, factor=1.6, steps=200)))
    assert others == []
    assert episode.subject.rank == SLOW
    assert abs(episode.onset_step - ONSET) <= 3
    assert ONSET <= episode.detected_step <= ONSET + 12
    assert episode.magnitude == pytest.approx(1.6, rel=max(0.03, 2.5 * sigma))


def test_most_are_named_within_ten_steps() -> None:
    delays = [opened(watch(job(0.1, 0.0, seed, factor=1.4, steps=170)))[0].detected_step - ONSET for seed in range(10)]
    assert np.median(delays) <= 6
    assert max(delays) <= 10


@pytest.mark.parametrize("seed", range(3))
def test_five_percent_is_seen_where_the_noise_is_half_a_percent(seed: int) -> None:
    episode, *others = opened(watch(job(0.005, 0.0, seed, factor=1.05, steps=170)))
    assert (episode.subject.rank, others) == (SLOW, [])
    assert episode.detected_step <= ONSET + 10


@pytest.mark.parametrize("seed", range(2))
def test_the_end_is_reported_under_the_same_id(seed: int) -> None:
    findings = watch(job(0.1, 0.3, seed, factor=1.6))
    first, *between, last = [f.state for f in findings]
    assert (first, set(between), last) == ("OPENED", {"UPDATED"}, "CLOSED")
    assert len(between) <= 6, "one update in fifty steps, or in sixteen when the estimate moved"
    assert len({f.id for f in findings}) == 1
    closed = findings[-1]
    assert closed.end_step is not None
    assert abs(closed.end_step - (END - 1)) <= 3
    steps = closed.end_step - closed.onset_step + 1
    assert closed.verdict.startswith(
        f"rank 2 is back to normal since step {closed.end_step + 1} after {steps} steps at 1."
    )


@pytest.mark.parametrize("factor", [1.5, 3.0, 20.0])
def test_single_slow_steps_are_pauses(factor: float) -> None:
    assert watch(with_bursts(1, factor)) == []


@pytest.mark.parametrize("length", [2, 3])
@pytest.mark.parametrize("factor", [1.5, 3.0, 20.0])
def test_a_burst_that_looked_like_an_onset_is_closed_at_once(length: int, factor: float) -> None:
    findings = watch(with_bursts(length, factor))
    assert {f.state for f in findings} <= {"OPENED", "CLOSED"}
    ends = {f.id: f.end_step for f in findings if f.state == "CLOSED"}
    for episode in opened(findings):
        assert ends[episode.id] <= episode.onset_step + length


def with_bursts(length: int, factor: float) -> np.ndarray:
    compute = job(0.02, 0.0, 7, steps=300)
    for start in range(60, 300, 30):
        compute[start : start + length, start // 30 % 4] *= factor
    return compute


def test_a_rank_a_little_slower_from_the_first_step_is_told_once_and_is_no_event() -> None:
    compute = job(0.02, 0.3, 3)
    compute[:, 1] *= 1.07
    (told,) = watch(compute)
    assert (told.kind, told.state, told.subject.rank) == ("OTHER", "CLOSED", 1)
    assert told.end_step == told.detected_step
    assert told.onset_step == 0
    assert told.magnitude == pytest.approx(1.07, rel=0.02)
    assert "from the first step" in told.verdict


def test_a_rank_that_is_much_slower_from_the_start_is_named() -> None:
    compute = job(0.02, 0.3, 3, steps=100)
    compute[:, 1] *= 1.6
    (episode,) = opened(watch(compute))
    assert episode.subject.rank == 1
    assert episode.detected_step < 20
    assert episode.onset_step == 0
    assert episode.magnitude == pytest.approx(1.6, rel=0.03)


def test_a_stage_that_costs_more_by_design_is_told_once_as_imbalance() -> None:
    compute = job(0.01, 0.0, 5, ranks=8)
    compute[:, 6:] *= 1.63
    (told,) = watch(compute, stage=[0, 0, 1, 1, 2, 2, 3, 3])
    assert (told.kind, told.state, told.subject.stage, told.subject.rank) == ("OTHER", "CLOSED", 3, None)
    assert told.magnitude == pytest.approx(1.63, rel=0.03)


def test_a_slowdown_of_all_ranks_is_the_jobs_and_blames_none() -> None:
    compute = job(0.02, 0.0, 5)
    compute[ONSET:] *= 2
    (episode,) = opened(watch(compute))
    assert episode.kind == "FAIL_SLOW"
    assert episode.subject == Subject()
    assert episode.magnitude == pytest.approx(2.0, rel=0.1)
    assert ONSET + 2 <= episode.detected_step <= ONSET + 12


def test_two_slow_ranks_of_six_are_both_named() -> None:
    compute = job(0.05, 0.0, 5, factor=1.6, ranks=6)
    compute[ONSET:END, 4] *= 1.6
    assert {episode.subject.rank for episode in opened(watch(compute))} == {SLOW, 4}


def test_the_first_steps_are_warm_up() -> None:
    compute = job(0.02, 0.0, 5)
    compute[:10, 3] *= 30
    assert watch(compute) == []


def test_of_two_ranks_each_is_judged_by_its_own_history() -> None:
    compute = job(0.02, 0.0, 5, ranks=4)[:, :2].copy()
    compute[:, 0] *= 1.3
    compute[ONSET:, 1] *= 1.5
    (episode,) = opened(watch(compute))
    assert episode.subject.rank == 1
    assert episode.magnitude == pytest.approx(1.5, rel=0.05)


def test_a_job_of_one_rank_is_judged_as_a_whole() -> None:
    compute = job(0.02, 0.0, 5)[:, :1].copy()
    compute[ONSET:] *= 1.5
    (episode,) = opened(watch(compute))
    assert (episode.kind, episode.subject) == ("FAIL_SLOW", Subject())


@pytest.mark.parametrize(
    ("cpu_factor", "words"),
    [
        (1.0, "CPU time unchanged: the process is not being scheduled"),
        (1.6, "CPU time grew as well: more work, or a slower processor"),
        (float("nan"), "CPU time not measured"),
    ],
)
def test_the_verdict_says_what_moved(cpu_factor: float, words: str) -> None:
    compute = job(0.02, 0.0, 5, factor=1.6)
    cpu = np.full(compute.shape, 0.09) * (np.nan if np.isnan(cpu_factor) else 1)
    cpu[ONSET:END, SLOW] *= cpu_factor
    (episode,) = opened(watch(compute, cpu=cpu))
    assert episode.verdict.startswith(f"rank 2 is 1.6x slower than its peers since step {ONSET} (backward 1")
    assert words in episode.verdict
    assert "node-2" in episode.verdict


def test_evidence_shows_that_the_culprit_waits_least() -> None:
    (episode,) = opened(watch(job(0.02, 0.0, 5, factor=1.6)))
    pieces = {piece.signal: piece for piece in episode.evidence}
    assert pieces["backward_seconds"].value > 1.4 * (pieces["backward_seconds"].peers or 0)
    assert pieces["sync_wait_seconds"].value < (pieces["sync_wait_seconds"].peers or 0)
    assert 0.5 < episode.confidence < 1


def test_a_rank_that_stops_reporting_ends_its_episode() -> None:
    compute = job(0.02, 0.0, 5, factor=1.6, steps=END)
    detector = StragglerDetector(StragglerSettings(absent_steps=5))
    findings = [f for frame in frames_of(compute) for f in detector.observe(frame)]
    rest = frames_of(job(0.02, 0.0, 6)[:20, [0, 1, 3]], first_step=END)
    findings += [f for frame in rest for f in detector.observe(frame)]
    assert findings[-1].state == "CLOSED"


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.floats(1.0, 3.0), st.sampled_from(SCATTER))
def test_every_episode_is_well_formed(seed: int, factor: float, scatter: tuple[float, float]) -> None:
    open_ids: set[str] = set()
    last = -1
    for finding in watch(job(*scatter, seed, factor=factor, steps=200)):
        assert 0 <= finding.onset_step <= finding.detected_step
        assert finding.onset_at_micros <= finding.detected_at_micros
        assert finding.end_step is None or finding.end_step >= finding.onset_step
        assert (finding.state == "OPENED") == (finding.id not in open_ids)
        if finding.state == "OPENED":
            assert finding.detected_step >= last, "raised in the order of steps"
            open_ids.add(finding.id)
            last = finding.detected_step
        elif finding.state == "CLOSED":
            open_ids.remove(finding.id)


@pytest.mark.parametrize("dies_at", [156, 180, 240])
def test_a_restart_goes_on_with_the_episode(dies_at: int) -> None:
    frames = list(frames_of(job(0.05, 0.3, 5, factor=1.6)))
    first = StragglerDetector()
    before = [f for frame in frames[:dies_at] for f in first.observe(frame)]
    assert before[0].state == "OPENED"
    second = StragglerDetector()
    second.restore(before[-1:])
    after = [f for frame in frames[dies_at - 20 :] for f in second.observe(frame)]
    assert "OPENED" not in {f.state for f in after}
    assert {f.id for f in after} == {before[0].id}
    assert after[-1].state == "CLOSED"
    assert after[-1].onset_step == before[0].onset_step


def test_a_replay_of_a_closed_episode_does_not_open_it_again() -> None:
    frames = list(frames_of(job(0.02, 0.0, 5, factor=1.6)))
    first = StragglerDetector()
    closed = [f for frame in frames for f in first.observe(frame)][-1]
    second = StragglerDetector()
    second.restore([closed])
    assert [f for frame in frames for f in second.observe(frame)] == []
