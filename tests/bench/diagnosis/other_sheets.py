"""The tables about labelled traces, healthy 405B runs, loss curves and hang dumps."""

import math
from collections.abc import Sequence

import numpy as np

from gradcube.diagnosis import Finding
from tests.bench.diagnosis.intervals import mean, rate
from tests.bench.diagnosis.loss import LossRun, SpikeCase
from tests.bench.diagnosis.real import Hang, Labelled, LargeRuns
from tests.bench.diagnosis.sheets import Sheet
from tests.bench.diagnosis.slow import OURS

LEAD_STEPS = 3


def labelled_sheets(labelled: Sequence[Labelled]) -> list[Sheet]:
    """Who was named in the traces with a known owner."""
    columns = (
        "trace", "method", "owner named", "healthy workers blamed", "magnitude", "measured", "over its past", "what-if",
    )  # fmt: skip
    note = (
        "measured: the owner's own time over its stage peers', median of the episode; then over the same before it. "
        "what-if: what the trace's authors simulated for the whole job, which is another quantity."
    )
    sheet = Sheet("Real labelled slow workers", columns, note)
    for trace in labelled:
        for method, found in trace.owner.items():
            known = (trace.magnitude, trace.measured, trace.measured_change, trace.what_if_slowdown or math.nan)
            numbers = [f"{x:.3f}x" if method == OURS and math.isfinite(x) else "" for x in known]
            sheet.rows.append((trace.trace, method, "yes" if found else "no", str(trace.others[method]), *numbers))
    return [sheet]


def large_sheets(large: LargeRuns) -> list[Sheet]:
    """False episodes on the healthy 405B runs."""
    columns = ("method", "episodes", "per 12 000 steps")
    note = f"{large.runs} runs, {large.steps} steps, whole-job step time and loss. " + _kinds(large.kinds)
    sheet = Sheet("Healthy Llama-3.1-405B runs", columns, note)
    for method, count in large.episodes.items():
        sheet.rows.append((method, str(count), rate(count, large.steps).text(12_000)))
    return [sheet]


def loss_sheets(loss: LossRun) -> list[Sheet]:
    """False alarms on healthy curves, and injected spikes."""
    columns = ("method", "alarms per 10 000 steps", "from step 500 on", "spikes with gradient norm", "by loss alone")
    note = (
        f"{loss.steps} healthy steps, {loss.settled_steps} of them from step 500 on; an alarm is a rise of the flag. "
        f"{_kinds(loss.kinds)} Spikes: caught {LEAD_STEPS} steps before the peak / caught / injected; mean lead."
    )
    sheet = Sheet("Loss", columns, note)
    for method, count in loss.alarms.items():
        spikes = [[s for s in loss.spikes if s.with_grad_norm == flag] for flag in (True, False)]
        sheet.rows.append(
            (
                method,
                rate(count, loss.steps).text(10_000),
                rate(loss.settled_alarms[method], loss.settled_steps).text(10_000),
                *(_caught(own, method) for own in spikes),
            )
        )
    return [sheet]


def lead(spikes: Sequence[SpikeCase], method: str = OURS) -> list[int]:
    """Steps before the peak at which each caught spike was called."""
    return [-at for case in spikes if (at := case.alarms[method]) is not None]


def hang_sheets(hangs: Sequence[Hang], bloom: dict[str, list[Finding]]) -> list[Sheet]:
    """Culprits of hangs; and BLOOM's events, whose record has no history before it."""
    sheet = Sheet("Hang dumps, and BLOOM's events as recorded", ("record", "known", "said"))
    for hang in hangs:
        sheet.rows.append((hang.directory, f"ranks {sorted(hang.culprits)}", f"ranks {sorted(hang.named)}"))
    for name, findings in bloom.items():
        said = "; ".join(dict.fromkeys(f"{f.kind} at step {f.detected_step}" for f in findings)) or "nothing"
        sheet.rows.append((name, "told, not judged: next to no history", said))
    return [sheet]


def _caught(spikes: Sequence[SpikeCase], method: str) -> str:
    leads = lead(spikes, method)
    early = sum(at >= LEAD_STEPS for at in leads)
    return f"{early} / {len(leads)} / {len(spikes)}; lead {mean(np.array(leads, np.float64).tolist()).text()}"


def _kinds(kinds: dict[str, int]) -> str:
    return "gradcube's by kind: " + (", ".join(f"{name} {count}" for name, count in kinds.items()) or "none") + "."
