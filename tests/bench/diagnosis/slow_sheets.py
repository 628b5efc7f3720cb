"""The tables about injected slow-downs: noise, families, levels and shapes, published rules, bursts, misses."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from tests.bench.diagnosis.injections import LEVELS, RATIOS, Level
from tests.bench.diagnosis.intervals import Estimate, mean, rate
from tests.bench.diagnosis.judge import Outcome
from tests.bench.diagnosis.noise import Floors, Noise, least_delay
from tests.bench.diagnosis.sheets import Sheet
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


def slow_sheets(runs: Sequence[FamilyRun]) -> list[Sheet]:
    """All of them but the list of misses."""
    return [_noise(runs), _families(runs), _levels(runs), _rules(runs), _beaten(runs), _bursts(runs)]


def misses(runs: Sequence[FamilyRun]) -> Sheet:
    """The cases that gradcube missed though the noise allows them, or in which it blamed somebody else."""
    sheet = Sheet("Missed or wrong", ("family", "who", "shape", "size", "onset", "culprits", "what"))
    for case in [case for run in runs for case in run.cases]:
        own, injection = case.outcomes[OURS], case.injection
        missed = case.allowed and injection.shape != "burst" and not own.caught
        what = [name for name, is_so in (("missed", missed), ("wrong", own.wrong), ("whole job", own.wide)) if is_so]
        if what:
            who = ", ".join(str(column) for column in injection.columns[:4]) + ", ..." * (len(injection.columns) > 4)
            size = (injection.shape, f"{injection.ratio:.2f}x", str(injection.onset), who)
            sheet.rows.append((case.family, injection.level, *size, " and ".join(what)))
    return sheet


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
        "delay at 1.10x, mean", "p95", "magnitude error, %", "healthy: episodes", "other alarms", "ms a step",
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
    at_ten = delays(sustained(runs, lambda c: c.injection.ratio == 1.10))
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


def _rules(runs: Sequence[FamilyRun]) -> Sheet:
    columns = (
        "rule",
        "recall >= 1.25x, %",
        "at 1.10x, %",
        "at 1.05x, %",
        "cases with wrong blame, %",
        "delay",
        "healthy",
    )
    note = (
        "The same cases. delay: mean steps at >= 1.10x, of those caught. healthy: claims on the runs without injection."
    )
    sheet = Sheet("Beside the published rules", columns, note)
    every = [case for run in runs for case in run.cases]
    for method in every[0].outcomes:
        wrong = sum(outcome.wrong > 0 for outcome in outcomes(every, method))
        sheet.rows.append(
            (
                method,
                recall(sustained(runs, lambda c: c.injection.ratio >= 1.25), method).text(100),
                recall(sustained(runs, lambda c: c.injection.ratio == 1.10), method).text(100),
                recall(sustained(runs, lambda c: c.injection.ratio == 1.05), method).text(100),
                rate(wrong, len(every)).text(100),
                mean(delays(sustained(runs, lambda c: c.injection.ratio >= 1.10), method)).text(),
                str(sum(run.healthy_claims[method] for run in runs)),
            )
        )
    return sheet


def _beaten(runs: Sequence[FamilyRun]) -> Sheet:
    """Where a rule is better: it caught, blaming nobody else, what gradcube missed; or was quicker where both did."""
    columns = (
        "rule",
        "caught cleanly, missed by gradcube",
        "the reverse",
        "both: rule quicker",
        "both: gradcube quicker",
    )
    sheet = Sheet("Where a published rule is better", columns, "Allowed sustained cases, by family of the misses.")
    cases = sustained(runs)
    for method in cases[0].outcomes if cases else ():
        if method != OURS:
            sheet.rows.append(_duel(method, cases))
    return sheet


def _duel(method: str, cases: Sequence[Case]) -> tuple[str, ...]:
    def clean(case: Case, name: str) -> bool:
        outcome = case.outcomes[name]
        return outcome.caught and not outcome.wrong and not outcome.wide

    won = [case for case in cases if clean(case, method) and not clean(case, OURS)]
    both = [case for case in cases if clean(case, method) and clean(case, OURS)]
    quicker = [case.outcomes[method].delay_steps - case.outcomes[OURS].delay_steps for case in both]
    where = ", ".join(f"{name} {sum(c.family == name for c in won)}" for name in dict.fromkeys(c.family for c in won))
    lost = sum(clean(case, OURS) and not clean(case, method) for case in cases)
    return (
        method,
        f"{len(won)}" + (f" ({where})" if where else ""),
        str(lost),
        str(sum(gap < 0 for gap in quicker)),
        str(sum(gap > 0 for gap in quicker)),
    )


def _bursts(runs: Sequence[FamilyRun]) -> Sheet:
    columns = ("rule", "bursts", "reported", "of these left open", "cases with wrong blame")
    note = "1 to 3 slow steps: may be reported, but then must be closed again."
    sheet = Sheet("Short bursts", columns, note)
    cases = [case for run in runs for case in run.cases if case.injection.shape == "burst"]
    for method in cases[0].outcomes if cases else ():
        own = outcomes(cases, method)
        counts = (sum(o.reported for o in own), sum(bool(o.left_open) for o in own), sum(o.wrong > 0 for o in own))
        sheet.rows.append((method, str(len(cases)), *(str(count) for count in counts)))
    return sheet
