"""What diagnosis is worth on public traces, healthy and with faults put into them; see tests/bench/diagnosis."""

import math
import os
from pathlib import Path

from rich.console import Console

from tests.bench.diagnosis.suite import measure
from tests.bench.figure import Figure

SEED = 0


def trace_directory() -> Path:
    """GRADCUBE_TRACES, or shared/data/traces beside the checkout, which not every machine has."""
    return Path(os.environ.get("GRADCUBE_TRACES", Path(__file__).resolve().parents[3] / "shared/data/traces"))


def run(quick: bool) -> list[Figure]:
    """Every figure with a goal; the tables are printed on the way."""
    traces = trace_directory()
    if not traces.is_dir():
        return [Figure("diagnosis", math.nan, "", "-", None, f"no public traces at {traces}: set GRADCUBE_TRACES")]
    results = measure(traces, SEED, quick, Console(stderr=True))
    for sheet in results.sheets:
        Console().print(sheet.rich())
    return results.figures
