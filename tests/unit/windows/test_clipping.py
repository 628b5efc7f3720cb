"""The share of clipped steps, by the thresholds that a job's lifecycle records tell."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.windows.making import ALIKE, SECOND, START, make_rows, one, value

from gradcube.events import Fact
from gradcube.windows import Clipping, JobDescription, JobWindows, StepRows

NORMS = st.one_of(st.floats(0, 4, width=32), st.sampled_from([1.0, np.nan, np.inf]))


def facts_of(*batches: StepRows, **clipping: Clipping) -> list[Fact]:
    """The facts of batches under `attempt_0=`, `attempt_1=`."""
    windows = JobWindows(ALIKE, "bert")
    windows.clip({int(name.removeprefix("attempt_")): own for name, own in clipping.items()})
    for partition, batch in enumerate(batches):
        windows.add(batch, ("gradcube.steps", partition))
    return windows.facts(windows.close(START + 1_000 * SECOND), JobDescription("bert"))


def test_a_step_is_clipped_whose_reduced_gradient_is_above_the_threshold() -> None:
    rows = make_rows([1, 2, 3, 4], global_grad_norm=[0.5, 1.0, 1.5, 9.0], grad_norm=50.0)
    clipped = one(facts_of(rows, attempt_0=Clipping(grad_norm=1.0)), "clipped_ratio")
    assert (clipped["METRIC_VALUE"], clipped["METRIC_SUM"], clipped["SAMPLES"]) == (0.5, 2, 4)


def test_a_worker_that_clips_its_own_gradient_is_judged_by_that_alone() -> None:
    rows = make_rows([1, 2, 3, 4], global_grad_norm=9.0, grad_norm=[0.5, np.nan, np.nan, 2.0])
    clipped = one(facts_of(rows, attempt_0=Clipping(own_grad_norm=1.0)), "clipped_ratio")
    assert (clipped["METRIC_VALUE"], clipped["SAMPLES"]) == (0.5, 2), "only those whose norm was taken count"


def test_either_threshold_is_enough_where_both_hold() -> None:
    rows = make_rows([1, 2, 3, 4], global_grad_norm=[0.5, 2.0, np.nan, np.nan], grad_norm=[5.0, 0.5, 0.5, np.nan])
    clipped = one(facts_of(rows, attempt_0=Clipping(1.0, 1.0)), "clipped_ratio")
    assert (clipped["METRIC_SUM"], clipped["SAMPLES"]) == (2, 3)


def test_ranks_and_stages_have_shares_of_their_own() -> None:
    rows = make_rows([1, 2, 1, 2], rank=[0, 0, 1, 1], seq=[0, 1, 0, 1], stage=[0, 0, 1, 1], grad_norm=[2, 2, 0.5, 2])
    facts = facts_of(rows, attempt_0=Clipping(own_grad_norm=1.0))
    assert value(facts, "clipped_ratio", "rank", subject="0") == 1.0
    assert value(facts, "clipped_ratio", "stage", subject="1") == 0.5
    assert value(facts, "clipped_ratio") == 0.75


def test_each_attempt_is_held_to_its_own_threshold() -> None:
    first = make_rows([1, 2], global_grad_norm=2.0)
    second = make_rows([3, 4], attempt=1, global_grad_norm=2.0)
    third = make_rows([5, 6], attempt=2, global_grad_norm=2.0)
    facts = facts_of(first, second, third, attempt_0=Clipping(1.0), attempt_1=Clipping(3.0))
    shares = {
        f["ATTEMPT"]: f["METRIC_VALUE"] for f in facts if (f["METRIC"], f["SUBJECT_KIND"]) == ("clipped_ratio", "job")
    }
    assert shares == {0: 1.0, 1: 0.0}


@pytest.mark.parametrize("clipping", [{}, {"attempt_0": Clipping()}])
def test_a_job_that_does_not_say_how_it_clips_has_no_share(clipping: dict[str, Clipping]) -> None:
    facts = facts_of(make_rows([1, 2], global_grad_norm=2.0, grad_norm=2.0), **clipping)
    assert "clipped_ratio" not in {fact["METRIC"] for fact in facts}


@given(
    st.lists(st.tuples(NORMS, NORMS), min_size=1, max_size=30),
    st.none() | st.floats(0.1, 4),
    st.none() | st.floats(0.1, 4),
)
def test_the_share_is_what_counting_by_hand_gives(
    norms: list[tuple[float, float]], limit: float | None, own_limit: float | None
) -> None:
    reduced, own = (list(column) for column in zip(*norms, strict=True))
    seconds = [1 + at / 10 for at in range(len(norms))]
    facts = facts_of(make_rows(seconds, global_grad_norm=reduced, grad_norm=own), attempt_0=Clipping(limit, own_limit))
    judged = [
        [norm > threshold for norm, threshold in zip(pair, (limit, own_limit), strict=True)
         if threshold is not None and np.isfinite(norm)]
        for pair in norms
    ]  # fmt: skip
    wanted = [any(each) for each in judged if each]
    found = [f for f in facts if (f["METRIC"], f["SUBJECT_KIND"]) == ("clipped_ratio", "job")]
    assert [(f["METRIC_SUM"], f["SAMPLES"]) for f in found] == ([(sum(wanted), len(wanted))] if wanted else [])
