"""What the benchmark's judge calls caught, wrong, late and left open."""

import math

import numpy as np
import pytest
from tests.bench.diagnosis.injections import Injection, Shape
from tests.bench.diagnosis.judge import Claim, Outcome, judge
from tests.bench.diagnosis.recordings import Recording
from tests.bench.diagnosis.simulated import Layout, simulate
from tests.bench.diagnosis.watching import claims_of, episodes_of, flagged_claims, named

from gradcube.diagnosis import Finding, Subject

STEPS, RANKS = 100, 8


def outcome(*claims: Claim, columns: tuple[int, ...] = (3,), shape: Shape = "step", end: int = 100) -> Outcome:
    return judge(claims, Injection("rank", columns, shape, 1.5, 40, end), STEPS, RANKS)


def claim(at: int, *who: int, ratio: float | None = 1.5, closed: bool = False) -> Claim:
    return Claim(at, frozenset(who), ratio, closed)


def test_the_culprit_named_after_the_onset_is_caught_with_its_delay_and_magnitude() -> None:
    found = outcome(claim(43, 3, ratio=1.53))
    assert (found.caught, found.delay_steps, found.wrong) == (True, 3, 0)
    assert found.magnitude_error == pytest.approx(0.02)


def test_a_ramp_counts_from_half_its_height() -> None:
    assert outcome(claim(49, 3), shape="ramp").delay_steps == 4


def test_all_of_several_culprits_must_be_named() -> None:
    assert not outcome(claim(41, 3), columns=(3, 5)).caught
    assert outcome(claim(41, 3), claim(45, 5), columns=(3, 5)).delay_steps == 5
    assert outcome(claim(42, 3, 5), columns=(3, 5)).delay_steps == 2


@pytest.mark.parametrize("blamed", [claim(50, 4), claim(50, 3, 4), claim(39, 3), claim(50)])
def test_who_names_a_healthy_rank_or_names_anyone_too_early_is_wrong(blamed: Claim) -> None:
    found = outcome(blamed)
    assert (found.caught, found.wrong) == (False, 1)


def test_the_whole_job_for_one_rank_is_counted_apart() -> None:
    found = outcome(claim(41, *range(RANKS)))
    assert (found.caught, found.wrong, found.wide) == (False, 0, 1)
    assert outcome(claim(41, *range(RANKS)), columns=tuple(range(RANKS))).caught


def test_what_is_named_after_it_was_over_is_not_caught() -> None:
    assert not outcome(claim(71, 3), end=70).caught


def test_an_episode_must_be_closed_some_time_after_its_end() -> None:
    assert outcome(claim(43, 3), end=60).left_open is True
    assert outcome(claim(43, 3, closed=True), end=60).left_open is False
    assert outcome(claim(43, 3), end=90).left_open is None


def test_a_burst_may_be_reported_shortly_after_its_end() -> None:
    found = outcome(claim(45, 3, closed=True), shape="burst", end=42)
    assert (found.reported, found.left_open, found.wrong) == (True, False, 0)
    assert math.isnan(found.magnitude_error)


def test_flags_are_claims_when_they_go_up() -> None:
    flags = np.zeros((6, 2), bool)
    flags[1:3, 0] = flags[4:, 1] = True
    assert list(flagged_claims(flags)) == [claim(1, 0, ratio=None, closed=True), claim(4, 1, ratio=None)]


@pytest.fixture(scope="module")
def run() -> Recording:
    return simulate(Layout("job", 2, 4, 0.005, ranks_per_node=2, steps=10), 0)


@pytest.mark.parametrize(
    ("subject", "who"),
    [
        (Subject(rank=2, node="node-1", stage=0, replica=2), [2]),
        (Subject(node="node-1"), [2, 3]),
        (Subject(stage=1), [4, 5, 6, 7]),
        (Subject(), [0, 1, 2, 3, 4, 5, 6, 7]),
        (Subject(shard=0), []),
    ],
)
def test_a_subject_names_the_ranks_that_fit_it(run: Recording, subject: Subject, who: list[int]) -> None:
    assert np.flatnonzero(named(subject, run)).tolist() == who


def finding(kind: str, state: str, magnitude: float) -> Finding:
    return Finding(f"{kind}-1", "job", 0, kind, state, Subject(rank=1), 3, 5, None, 0, 0, magnitude, 1.0, (), "")  # type: ignore[arg-type]


def test_an_episode_is_one_claim_with_its_last_magnitude_and_a_notice_is_none(run: Recording) -> None:
    said = [finding("STRAGGLER", "OPENED", 1.4), finding("OTHER", "CLOSED", 9), finding("STRAGGLER", "CLOSED", 1.5)]
    assert claims_of(said, run) == [claim(5, 1, closed=True)]
    assert len(episodes_of(said)) == 1
