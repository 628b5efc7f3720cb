"""The public traces as frames; they lie in shared/ beside the checkout, which not every machine has."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradcube.diagnosis import StepAssembler, StepFrame
from gradcube.traces import read_trace


def trace_directory() -> Path:
    """Where the traces are; skips the test with the reason when they are not."""
    beside = Path(__file__).resolve().parents[4] / "shared/data/traces"
    found = Path(os.environ.get("GRADCUBE_TRACES", beside))
    if not found.is_dir():
        pytest.skip(f"no public traces at {found}: set GRADCUBE_TRACES to their directory")
    return found


def trace_frames(path: Path, job: str) -> Iterator[StepFrame]:
    """The frames of a trace, each whole."""
    assembler = StepAssembler(job, 0)
    for rows in read_trace(path, job).by_step():
        yield from assembler.add(rows)
        yield from assembler.advance(int(rows.ended_at_micros.max()))
