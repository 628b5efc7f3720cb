"""`python -m tests.bench.diagnosis [--quick] [--seed N] [--json FILE] [--markdown FILE]`: every table there is."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from rich.console import Console

from tests.bench.bench_diagnosis import trace_directory
from tests.bench.diagnosis.sheets import markdown
from tests.bench.diagnosis.suite import Results, measure


def main() -> int:
    options = _options()
    traces = trace_directory()
    if not traces.is_dir():
        print(f"no public traces at {traces}: set GRADCUBE_TRACES to their directory", file=sys.stderr)
        return 2
    results = measure(traces, options.seed, options.quick, Console(stderr=True))
    for sheet in results.sheets:
        Console().print(sheet.rich())
    for figure in results.figures:
        print(json.dumps(dataclasses.asdict(figure)))
    if options.markdown:
        options.markdown.write_text(markdown(results.sheets))
    if options.json:
        options.json.write_text(json.dumps(_plain(results, options.seed), indent=1) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few cases, in seconds: does it work?")
    parser.add_argument("--seed", type=int, default=0, help="draws culprits, onsets and simulated runs")
    parser.add_argument("--json", type=Path, help="also write figures, tables and every case to this file")
    parser.add_argument("--markdown", type=Path, help="also write the tables to this file")
    return parser.parse_args()


def _plain(results: Results, seed: int) -> dict[str, object]:
    return {"seed": seed} | dataclasses.asdict(results)


if __name__ == "__main__":
    sys.exit(main())
