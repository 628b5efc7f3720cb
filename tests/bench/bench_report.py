"""The page about a run of 8 192 ranks and 2 000 steps, one of them slow: bytes, and seconds to write it."""

import tempfile
import time
from pathlib import Path

from gradcube.diagnosis.findings import Subject
from gradcube.report import write_report
from tests.bench.figure import Figure
from tests.unit.report.making import finding, slow, trace

GOAL_BYTES = 3_000_000


def run(quick: bool) -> list[Figure]:
    """Its size; the time is told beside it. --quick has an eighth of the ranks and a quarter of the steps."""
    ranks, steps = (1024, 500) if quick else (8192, 2000)
    recorded = slow(trace(ranks, steps, stages=4), 777, steps // 2, steps, 1.6)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        began = time.perf_counter()
        write_report(page, recorded, [finding(Subject(rank=777, node="node-97"), steps // 2)])
        seconds, size_bytes = time.perf_counter() - began, page.stat().st_size
    met = None if quick else size_bytes < GOAL_BYTES
    note = f"{ranks} ranks x {steps} steps, written in {seconds:.1f} s"
    return [Figure("Report page", size_bytes / 1e6, "MB", "< 3 MB at 8 192 x 2 000", met, note, {"seconds": seconds})]
