"""Picks cases and sums up what methods made of them: recall, delays, errors."""

from collections.abc import Callable, Sequence

import numpy as np

from tests.bench.diagnosis.intervals import Estimate, rate
from tests.bench.diagnosis.judge import Outcome
from tests.bench.diagnosis.slow import OURS, Case, FamilyRun

Pick = Callable[[Case], bool]


def scopes(runs: Sequence[FamilyRun]) -> list[tuple[str, list[FamilyRun]]]:
    """Real traces and simulated jobs apart, those that there are."""
    parts = [
        ("real traces", [run for run in runs if run.is_real]),
        ("simulated jobs", [r for r in runs if not r.is_real]),
    ]
    return [(name, own) for name, own in parts if own]


def sustained(runs: Sequence[FamilyRun], pick: Pick = lambda case: True) -> list[Case]:
    """The cases that last and that the noise allows."""
    return [c for run in runs for c in run.cases if c.injection.shape != "burst" and c.allowed and pick(c)]


def outcomes(cases: Sequence[Case], method: str = OURS) -> list[Outcome]:
    """What a method made of them."""
    return [case.outcomes[method] for case in cases]


def recall(cases: Sequence[Case], method: str = OURS) -> Estimate:
    """The share in which every culprit was named."""
    return rate(sum(outcome.caught for outcome in outcomes(cases, method)), len(cases))


def delays(cases: Sequence[Case], method: str = OURS) -> list[float]:
    """Steps until the culprits were named, of the cases in which they were."""
    return [outcome.delay_steps for outcome in outcomes(cases, method) if outcome.caught]


def magnitude_errors(cases: Sequence[Case]) -> list[float]:
    """Relative errors of gradcube's last word, of caught steps."""
    return [o.magnitude_error for o in outcomes(cases) if not np.isnan(o.magnitude_error)]
