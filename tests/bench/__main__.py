"""`python -m tests.bench [--quick] [--json FILE] [NAME ...]`: runs tests/bench/bench_NAME.py and prints the figures."""

import argparse
import dataclasses
import importlib
import json
import pathlib
import sys

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.bench.figure import Figure


def main() -> int:
    options = _options()
    names = options.names or sorted(p.stem[len("bench_") :] for p in pathlib.Path(__file__).parent.glob("bench_*.py"))
    figures: list[Figure] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for name in progress.track(names, description="benchmarks"):
            figures += importlib.import_module(f"tests.bench.bench_{name}").run(options.quick)
    Console().print(table(figures))
    if options.json:
        options.json.write_text(json.dumps([dataclasses.asdict(figure) for figure in figures], indent=2) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="benchmarks to run; all when none is named")
    parser.add_argument("--quick", action="store_true", help="shorter runs, to see that they work")
    parser.add_argument("--json", type=pathlib.Path, help="also write the figures to this file")
    return parser.parse_args()


def table(figures: list[Figure]) -> Table:
    """A row for each."""
    table = Table("figure", "value", "goal", "met", "note")
    for figure in figures:
        met = {True: "yes", False: "no", None: "-"}[figure.met]
        table.add_row(figure.name, f"{figure.value:,.4g} {figure.unit}", figure.goal, met, figure.note)
    return table


if __name__ == "__main__":
    sys.exit(main())
