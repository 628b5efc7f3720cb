"""Judges claims about an injected slow-down; the same for gradcube and for what it is compared with."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tests.bench.diagnosis.injections import Injection

LATE_STEPS = 5
"""A burst may be named so many steps after its end: it takes a few steps to see."""
CLOSING_STEPS = 25
"""An episode must be closed so many steps after its end."""


@dataclass(frozen=True)
class Claim:
    """At step `at` (its place, from 0) the ranks in columns `who` were called slow, `ratio` times in the last word."""

    at: int
    who: frozenset[int]
    ratio: float | None
    closed: bool


@dataclass(frozen=True)
class Outcome:
    """`caught`: every culprit was named while slow, by claims of culprits alone; `delay_steps` until the last was.

    `wrong` counts claims that name anybody else, or anybody before the onset; `wide` those that call the whole job
    slow when a part of it is: true of its steps' time where ranks wait for one another, but of no use.
    `left_open` is None when the episode had no time to be closed.
    """

    caught: bool
    reported: bool
    delay_steps: float
    wrong: int
    wide: int
    magnitude_error: float
    left_open: bool | None


def judge(claims: Iterable[Claim], injection: Injection, num_steps: int, num_ranks: int) -> Outcome:
    """What the claims are worth, see `Outcome`."""
    culprits = frozenset(injection.columns)
    everyone = frozenset(range(num_ranks))
    until = injection.end + (LATE_STEPS if injection.shape == "burst" else 0)
    ordered = sorted(claims, key=lambda claim: claim.at)
    fair = [claim for claim in ordered if claim.at >= injection.onset and claim.who and claim.who <= culprits]
    right = [claim for claim in fair if claim.at < until]
    wide = [c for c in ordered if c.at >= injection.onset and c.who == everyone and culprits != everyone]
    at = _covered_at(right, culprits)
    return Outcome(
        caught=at is not None,
        reported=bool(right),
        delay_steps=math.nan if at is None else max(0.0, at - injection.counted_from),
        wrong=len(ordered) - len(fair) - len(wide),
        wide=len(wide),
        magnitude_error=_magnitude_error(right, injection) if at is not None else math.nan,
        left_open=_left_open(right, injection, num_steps),
    )


def _covered_at(claims: list[Claim], culprits: frozenset[int]) -> int | None:
    named: frozenset[int] = frozenset()
    for claim in claims:
        named |= claim.who
        if named == culprits:
            return claim.at
    return None


def _magnitude_error(claims: list[Claim], injection: Injection) -> float:
    """The largest relative error of the last word about each; of a step alone: the others have no one magnitude."""
    ratios = [claim.ratio for claim in claims if claim.ratio is not None]
    if injection.shape != "step" or not ratios:
        return math.nan
    return max(abs(ratio / injection.ratio - 1) for ratio in ratios)


def _left_open(claims: list[Claim], injection: Injection, num_steps: int) -> bool | None:
    if num_steps - injection.end < CLOSING_STEPS or not claims:
        return None
    return not all(claim.closed for claim in claims)
