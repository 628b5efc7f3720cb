"""`python -m tests.bench.diagnosis [--quick] [--seed N] [--misses] [--json FILE] [--markdown FILE]`: every table."""

import argparse
import dataclasses
import json
import math
import sys
from pathlib import Path

from rich.console import Console

from tests.bench.bench_diagnosis import trace_directory
from tests.bench.diagnosis.sheets import figure_sheet, markdown
from tests.bench.diagnosis.suite import Results, measure


def main() -> int:
    options = _options()
    traces = trace_directory()
    if not traces.is_dir():
        print(f"no public traces at {traces}: set GRADCUBE_TRACES to their directory", file=sys.stderr)
        return 2
    results = measure(traces, options.seed, options.quick, Console(stderr=True))
    for sheet in [*results.sheets, *([results.misses] if options.misses else [])]:
        Console().print(sheet.rich())
    figures = figure_sheet(results.figures)
    Console().print(figures.rich())
    if options.markdown:
        options.markdown.write_text(markdown([figures, *results.sheets]))
    if options.json:
        options.json.write_text(json.dumps(_plain(results, options.seed), indent=1) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few cases, in seconds: does it work?")
    parser.add_argument("--seed", type=int, default=0, help="draws culprits, onsets and simulated runs")
    parser.add_argument("--misses", action="store_true", help="also print each case that was missed or blamed wrongly")
    parser.add_argument("--json", type=Path, help="also write figures, tables and every case to this file")
    parser.add_argument("--markdown", type=Path, help="also write the tables to this file")
    return parser.parse_args()


def _plain(results: Results, seed: int) -> dict[str, object]:
    return {"seed": seed} | {name: _finite(value) for name, value in dataclasses.asdict(results).items()}


def _finite(value: object) -> object:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {name: _finite(own) for name, own in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(own) for own in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    sys.exit(main())
