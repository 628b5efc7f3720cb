"""`python -m tests.bench.kylin [--facts N] [--rounds N] [--json FILE]`: both engines over the same facts."""

import argparse
import dataclasses
import json
import pathlib
import sys
import tempfile

from rich.console import Console

from tests.bench.__main__ import table
from tests.bench.kylin.measures import freshness, ingest, memory, sql
from tests.kylin.both import GENERATED, both_engines
from tests.kylin.conftest import gradcube


def main() -> int:
    """The table, and the figures as JSON."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="gradcube-bench-kylin-") as name:
        folder = pathlib.Path(name)
        done = gradcube(folder, "kylin", "up")
        if done.returncode:
            sys.stderr.write(done.stderr)
            return done.returncode
        try:
            figures = [ingest(folder, folder / "ingest", options.facts)]
            (folder / "both").mkdir()
            with both_engines(folder, folder / "both", options.facts) as both:
                figures += [*sql(both, options.rounds), *freshness(both), *memory(folder, both)]
        finally:
            gradcube(folder, "kylin", "down")
    Console().print(table(figures))
    if options.json:
        options.json.write_text(json.dumps([dataclasses.asdict(figure) for figure in figures], indent=2) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facts", type=int, default=GENERATED, help="beside those of the fleet of docs/questions.md")
    parser.add_argument("--rounds", type=int, default=20, help="how often each of the ten questions is asked")
    parser.add_argument("--json", type=pathlib.Path, help="also write the figures to this file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
