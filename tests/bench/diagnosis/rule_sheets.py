"""The tables about published rules on the same slow-downs, and the list of what gradcube missed."""

from collections.abc import Sequence

from tests.bench.diagnosis.counts import delays, outcomes, recall, sustained
from tests.bench.diagnosis.intervals import mean, rate
from tests.bench.diagnosis.sheets import Sheet
from tests.bench.diagnosis.slow import OURS, Case, FamilyRun


def rule_sheets(runs: Sequence[FamilyRun]) -> list[Sheet]:
    """Recall and blame, duels case by case, and short bursts."""
    return [_rules(runs), _beaten(runs), _bursts(runs)]


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
