"""A real trainer process that also writes `version loss predicted` of each step to TRACE, for tests.

NAN_AT_STEP makes the loss of that step NaN; HANG_AT_STEP stops before that step's push, for ever.
"""

import os
import signal
from pathlib import Path
from typing import Any

from gradcube_trainer import loop
from gradcube_trainer.__main__ import main
from gradcube_trainer.model import Outcome, forward

NAN_AT_STEP = int(os.environ.get("NAN_AT_STEP", "-1"))
HANG_AT_STEP = int(os.environ.get("HANG_AT_STEP", "-1"))
TRACE = Path(os.environ["TRACE"])

report, push, compute = loop._report, loop._push, loop._compute


def traced_report(worker: Any, version: int, batch: Any, outcome: Outcome, *rest: Any) -> None:
    report(worker, version, batch, outcome, *rest)
    with TRACE.open("a") as file:
        file.write(f"{version} {outcome.loss.item()!r} {batch.predicted}\n")


def hanging_push(worker: Any, gradient: Any, version: int, *rest: Any) -> Any:
    if version == HANG_AT_STEP:
        TRACE.with_suffix(".hangs").touch()
        signal.pause()
    return push(worker, gradient, version, *rest)


def broken_compute(worker: Any, batch: Any) -> Any:
    broken = worker.progress.version == NAN_AT_STEP
    loop.forward = nan_forward if broken else forward
    return compute(worker, batch)


def nan_forward(model: Any, batch: Any) -> Outcome:
    outcome = forward(model, batch)
    return Outcome(outcome.loss * float("nan"), outcome.correct)


loop._report, loop._push, loop._compute = traced_report, hanging_push, broken_compute

if __name__ == "__main__":
    main()
