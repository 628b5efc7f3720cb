"""The figures with goals, out of all results."""

import math
from collections.abc import Sequence

from tests.bench.diagnosis.counts import Pick, delays, magnitude_errors, outcomes, recall, scopes, sustained
from tests.bench.diagnosis.intervals import mean
from tests.bench.diagnosis.loss import LossRun
from tests.bench.diagnosis.other_sheets import LEAD_STEPS, lead
from tests.bench.diagnosis.real import Hang, Labelled, LargeRuns
from tests.bench.diagnosis.slow import OURS, FamilyRun
from tests.bench.figure import Figure

LARGE_GOAL_STEPS = 12_000
LOSS_GOAL_STEPS = 10_000
DELAY_GOAL_STEPS = 2
"""Asked only where the least delay that theory allows is not longer."""


def slow_figures(runs: Sequence[FamilyRun]) -> list[Figure]:
    """Recall, blame, delay and magnitude of the injected slow-downs, on real traces and on simulated jobs."""
    return [figure for scope, own in scopes(runs) for figure in _slow_figures(f"slow-downs on {scope}", own)]


def _slow_figures(name: str, runs: Sequence[FamilyRun]) -> list[Figure]:
    every = [case for run in runs for case in run.cases]
    wrong = sum(outcome.wrong > 0 for outcome in outcomes(every))
    wide = sum(outcome.wide > 0 for outcome in outcomes(every))
    ten = sustained(runs, lambda case: case.injection.ratio == 1.10)
    soon = [case for case in ten if case.least_delay_steps <= DELAY_GOAL_STEPS]
    delay = mean(delays(soon))
    told = f"{delay.text()} where theory allows it; {mean(delays(ten)).text()} over all {len(ten)}"
    error = mean(magnitude_errors(sustained(runs)))
    note = f"of {len(every)} cases; in {wide} more the whole job was called slow for a part of it"
    return [
        _recall(f"{name}, >= 1.10x: recall", ">= 99 %", 0.99, runs, lambda case: case.injection.ratio >= 1.10),
        _recall(f"{name}, 1.05x: recall", ">= 95 %", 0.95, runs, lambda case: case.injection.ratio == 1.05),
        Figure(f"{name}: cases with wrong blame", wrong, "cases", "0", wrong == 0, note),
        Figure(f"{name}, 1.10x: mean delay", delay.value, "steps", "<= 2", delay.value <= DELAY_GOAL_STEPS, told),
        Figure(f"{name}: magnitude error", error.value * 100, "%", "<= 3 %", error.value <= 0.03, error.text(100)),
    ]


def real_figures(labelled: Sequence[Labelled], large: LargeRuns, hangs: Sequence[Hang]) -> list[Figure]:
    """Labelled traces, healthy 405B runs, hang dumps."""
    owners, blamed = sum(trace.owner[OURS] for trace in labelled), sum(trace.others[OURS] for trace in labelled)
    owned = [trace for trace in labelled if trace.owner[OURS]]
    error = max((abs(t.magnitude / t.measured - 1) for t in owned), default=math.nan)
    change = [abs(t.magnitude / t.measured_change - 1) for t in owned if math.isfinite(t.measured_change)]
    told = f"{max(change, default=math.nan) * 100:.1f} % where the owner's own past is taken out"
    false = large.episodes[OURS] / large.steps * LARGE_GOAL_STEPS
    traces = len(labelled)
    note = f"{large.episodes[OURS]} in {large.steps} steps"
    return [
        Figure("labelled traces: owners named", owners, "traces", f"{traces}", owners == traces),
        Figure("labelled traces: healthy workers blamed", blamed, "workers", "0", blamed == 0),
        Figure("labelled traces: largest error of the slow-down", error * 100, "%", "<= 3 %", error <= 0.03, told),
        Figure("healthy 405B runs: false episodes in 12 000 steps", false, "episodes", "<= 1", false <= 1, note),
        *(_hang_figure(hang) for hang in hangs),
    ]


def loss_figures(loss: LossRun) -> list[Figure]:
    """False alarms and injected spikes."""
    alarms = loss.alarms[OURS] / loss.steps * LOSS_GOAL_STEPS
    note = f"{loss.alarms[OURS]} in {loss.steps} steps"
    figures = [Figure("healthy loss curves: alarms in 10 000 steps", alarms, "alarms", "<= 1", alarms <= 1, note)]
    for flag, name in ((True, "with gradient norm"), (False, "loss alone")):
        own = [case for case in loss.spikes if case.with_grad_norm == flag]
        leads = lead(own)
        share = len(leads) / len(own) * 100
        shortest = min(leads, default=math.nan)
        early = sum(at >= LEAD_STEPS for at in leads)
        note = f"{early} of {len(own)} at least {LEAD_STEPS} steps before the peak"
        figures += [
            Figure(f"BLOOM spikes, {name}: caught", share, "%", "100 %", share == 100, f"of {len(own)}"),
            Figure(f"BLOOM spikes, {name}: least lead", shortest, "steps", ">= 3", shortest >= LEAD_STEPS, note),
        ]
    return figures


def _recall(name: str, goal: str, least: float, runs: Sequence[FamilyRun], pick: Pick) -> Figure:
    own = recall(sustained(runs, pick))
    details = {run.family: recall(sustained([run], pick)).value for run in runs}
    met = own.value >= least if own.count else None
    return Figure(name, own.value * 100, "%", goal, met, f"{own.text(100)} of {own.count}", details)


def _hang_figure(hang: Hang) -> Figure:
    name, goal = f"{hang.directory}: culprits named", f"{len(hang.culprits)}"
    found, others = len(hang.named & hang.culprits), sorted(hang.named - hang.culprits)
    return Figure(name, found, "ranks", goal, hang.named == hang.culprits, f"others named: {others or 'none'}")
