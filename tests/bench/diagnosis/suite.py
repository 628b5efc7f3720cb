"""The whole benchmark: a directory of traces and a seed come in, sheets, figures and every case go out."""

from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from rich.console import Console

from tests.bench.diagnosis.families import families
from tests.bench.diagnosis.figures import loss_figures, real_figures, slow_figures
from tests.bench.diagnosis.loss import run_loss
from tests.bench.diagnosis.other_sheets import hang_sheets, labelled_sheets, large_sheets, loss_sheets
from tests.bench.diagnosis.real import run_bloom, run_hangs, run_labelled, run_large
from tests.bench.diagnosis.rule_sheets import misses, rule_sheets
from tests.bench.diagnosis.sheets import Sheet
from tests.bench.diagnosis.slow import Case, run_family
from tests.bench.diagnosis.slow_sheets import slow_sheets
from tests.bench.figure import Figure


@dataclass
class Results:
    """All that was measured."""

    figures: list[Figure] = field(default_factory=list)
    sheets: list[Sheet] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    misses: Sheet = field(default_factory=lambda: Sheet("", ()))


def measure(traces: Path, seed: int, quick: bool, console: Console) -> Results:
    """Everything, with a line on the console as each part is done."""
    started = perf_counter()

    def done(part: str) -> None:
        console.print(f"[{perf_counter() - started:5.0f} s] {part}", highlight=False)

    labelled, large, hangs = run_labelled(traces), run_large(traces), run_hangs(traces)
    bloom = run_bloom(traces)
    done("labelled traces, healthy 405B runs, hang dumps")
    runs = []
    for make in families(traces, seed, quick):
        runs.append(run_family(make(), seed, quick))
        done(f"{runs[-1].family}: {len(runs[-1].cases)} slow-downs")
    loss = run_loss(traces, seed, quick)
    done(f"loss curves: {loss.steps} steps, {len(loss.spikes)} spikes")
    return Results(
        figures=real_figures(labelled, large, hangs) + slow_figures(runs) + loss_figures(loss),
        sheets=[
            *labelled_sheets(labelled),
            *slow_sheets(runs),
            *rule_sheets(runs),
            *large_sheets(large),
            *loss_sheets(loss),
            *hang_sheets(hangs, bloom),
        ],
        cases=[case for run in runs for case in run.cases],
        misses=misses(runs),
    )
