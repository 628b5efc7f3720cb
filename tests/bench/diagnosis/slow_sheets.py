"""The tables about gradcube on injected slow-downs: noise and theory, families, levels and shapes."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tests.bench.diagnosis.counts import delays, magnitude_errors, outcomes, recall, scopes, sustained
from tests.bench.diagnosis.injections import LEVELS, RATIOS, Level
from tests.bench.diagnosis.intervals import mean
from tests.bench.diagnosis.noise import Floors, Noise, least_delay
from tests.bench.diagnosis.sheets import Sheet
from tests.bench.diagnosis.slow import OURS, FamilyRun


def slow_sheets(runs: Sequence[FamilyRun]) -> list[Sheet]:
    """All three."""
    return [_noise(runs), _families(runs), _levels(runs)]


def _noise(runs: Sequence[FamilyRun]) -> Sheet:
    note = (
        "Percent of a step's time, lag-1 correlation in brackets. Steps: least mean delay by theory / ours when caught."
    )
    columns = ("family", "against peers", "other stages removed", "stage", "whole job")
    sheet = Sheet("Noise floors, and delay beside theory", (*columns, *(f"{r:.2f}x" for r in RATIOS[:4])), note)
    for run in runs:
        kinds = ("peers", "alone", "stage", "time")
        cells = [_floor(run.floors, name) for name in kinds]
        sheet.rows.append((run.family, *cells, *(_beside_theory(run, ratio) for ratio in RATIOS[:4])))
    return sheet


def _floor(floors: Sequence[Floors], name: str) -> str:
    known: list[Noise] = [noise for own in floors if (noise := getattr(own, name)) is not None]
    if not known:
        return "-"
    sigmas = [noise.sigma * 100 for noise in known]
    spread = f"{min(sigmas):.1f}" if max(sigmas) - min(sigmas) < 0.1 else f"{min(sigmas):.1f}-{max(sigmas):.1f}"
    return f"{spread} ({np.median([noise.correlation for noise in known]):.1f})"


def _beside_theory(run: FamilyRun, ratio: float) -> str:
    cases = sustained([run], lambda c: c.injection.ratio == ratio and c.injection.shape == "step")
    level: Level = "job" if run.floors[0].peers is None else "rank"
    theory = float(np.median([least_delay(own.of(level), ratio) for own in run.floors]))
    own = delays([case for case in cases if case.injection.level == level])
    return f"{theory:.1f} / {np.mean(own):.1f}" if own else f"{theory:.1f} / -"


def _families(runs: Sequence[FamilyRun]) -> Sheet:
    columns = (
        "family", "cases", "recall >= 1.10x, %", "at 1.05x, %", "at 1.03x, %", "wrong blame", "whole job blamed",
        "delay at 1.10x, mean", "p95", "by theory", "magnitude error, %", "healthy: episodes", "other alarms",
        "ms a step",
    )  # fmt: skip
    note = (
        "Allowed cases of steps, ramps and flaps; blame counts cases of all kinds. 95 % intervals, Wilson or bootstrap."
    )
    sheet = Sheet("gradcube on injected slow-downs", columns, note)
    for run in runs:
        sheet.rows.append(_family_row(run.family, [run]))
    sheet.rows += [_family_row(f"all {name}", own) for name, own in scopes(runs)]
    return sheet


def _family_row(name: str, runs: Sequence[FamilyRun]) -> tuple[str, ...]:
    every = [case for run in runs for case in run.cases]
    ten = sustained(runs, lambda c: c.injection.ratio == 1.10)
    at_ten = delays(ten)
    theory = [case.least_delay_steps for case in ten if case.outcomes[OURS].caught]
    errors = magnitude_errors(sustained(runs))
    healthy = sum(run.healthy_claims[OURS] for run in runs)
    others = sum((run.other_kinds for run in runs), Counter())
    return (
        name,
        f"{len(sustained(runs))} of {len(every)}",
        recall(sustained(runs, lambda c: c.injection.ratio >= 1.10)).text(100),
        recall(sustained(runs, lambda c: c.injection.ratio == 1.05)).text(100),
        recall(sustained(runs, lambda c: c.injection.ratio == 1.03)).text(100),
        str(sum(outcome.wrong > 0 for outcome in outcomes(every))),
        str(sum(outcome.wide > 0 for outcome in outcomes(every))),
        mean(at_ten).text(),
        f"{np.quantile(at_ten, 0.95):.1f}" if at_ten else "-",
        f"{np.mean(theory):.1f}" if theory else "-",
        mean(errors).text(100),
        f"{healthy} in {sum(run.healthy_steps for run in runs)} steps",
        ", ".join(f"{kind} {count}" for kind, count in others.items()) or "0",
        f"{np.mean([run.milliseconds_per_step for run in runs]):.2f}",
    )


def _levels(runs: Sequence[FamilyRun]) -> Sheet:
    columns = ("who", "shape", "cases", "recall >= 1.10x, %", "at 1.05x, %", "wrong", "delay at 1.10x", "left open")
    sheet = Sheet("By who is slow, and in what shape", columns)
    for level in LEVELS:
        for shape in ("step", "ramp", "flap"):
            cases = sustained(runs, lambda c, a=level, b=shape: (c.injection.level, c.injection.shape) == (a, b))  # type: ignore[misc]
            ended = [o.left_open for o in outcomes(cases) if o.left_open is not None]
            sheet.rows.append(
                (
                    level,
                    shape,
                    str(len(cases)),
                    recall([c for c in cases if c.injection.ratio >= 1.10]).text(100),
                    recall([c for c in cases if c.injection.ratio == 1.05]).text(100),
                    str(sum(o.wrong > 0 for o in outcomes(cases))),
                    mean(delays([c for c in cases if c.injection.ratio == 1.10])).text(),
                    f"{sum(ended)} of {len(ended)}",
                )
            )
    return sheet
