"""`gradcube demo`: a language model trains, one worker is slowed from outside, gradcube names it, SQL answers.

The story of one run; the parts are the same as those of `gradcube up`, in a folder that goes away at the end.
"""

import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gradcube.bus.local_broker import fetch_broker
from gradcube.cli import output, state
from gradcube.cli.findings import FindingWatch
from gradcube.cli.paths import home
from gradcube.cli.questions import ask_all
from gradcube.cli.reconcile import reconcile, settle
from gradcube.cli.slowdown import Slowdown
from gradcube.cli.stack import RunSettings, Stack
from gradcube.cli.training import steps_done, wait_for_step
from gradcube.errors import CheckFailed, ConfigError

WARM_UP_STEPS = 40
HOLD_STEPS = 20
"""How long the worker stays slow after the verdict."""
WINDOW_SECONDS = "10"
JOB = "demo"


@dataclass(frozen=True)
class DemoSettings:
    """What the command line says; `slow_rank` None draws one by seed, `slow` False slows nobody."""

    workers: int
    steps: int
    seed: int
    slow: bool
    slow_rank: int | None
    slow_factor: float
    data: Path | None
    keep: bool

    def culprit(self) -> int:
        """The rank that will be slowed."""
        if self.slow_rank is not None:
            return self.slow_rank
        return random.Random(self.seed).randrange(self.workers)

    def check(self) -> None:
        """Raises ConfigError for what cannot work."""
        if self.slow and self.workers < 3:
            raise ConfigError(f"--workers {self.workers}: a slow rank needs at least two peers; use 3 or more, or --no-slow")
        if self.slow and not 0 <= self.culprit() < self.workers:
            raise ConfigError(f"--slow-rank {self.culprit()}: there are ranks 0 to {self.workers - 1}")
        if self.slow and self.slow_factor <= 1:
            raise ConfigError(f"--slow-factor {self.slow_factor}: must be above 1 (1.6 = 1.6 times as slow)")
        if self.slow and self.steps < WARM_UP_STEPS + 2 * HOLD_STEPS:
            raise ConfigError(f"--steps {self.steps}: at least {WARM_UP_STEPS + 2 * HOLD_STEPS} are needed to show a slow rank")
        if self.data is not None and not self.data.is_dir():
            raise ConfigError(f"--data {self.data}: no such folder")


def run_demo(settings: DemoSettings) -> dict[str, Any]:
    """Runs it all, prints the story, and returns the report. Raises CheckFailed when a promise did not hold."""
    settings.check()
    started = time.monotonic()
    with output.err.status("fetching the broker") as status:
        fetch_broker(status.update)
    folder = home() if settings.keep else Path(tempfile.mkdtemp(prefix="gradcube-demo-"))
    if settings.keep and state.read() is not None:
        raise ConfigError("--keep: local services are already running; end them with: gradcube down")
    stack = Stack(
        folder,
        with_parent=not settings.keep,
        metrics={"subject_window_seconds": WINDOW_SECONDS, "job_window_seconds": WINDOW_SECONDS},
    )
    kept = False
    try:
        report = _story(stack, settings)
        report["seconds"] = round(time.monotonic() - started, 1)
        kept = settings.keep
        if kept:
            state.write(stack.state)
            _how_to_look_around(stack)
    finally:
        if not kept:
            with output.err.status("stopping"):
                stack.stop()
                stack.remove()
    return report


def _story(stack: Stack, settings: DemoSettings) -> dict[str, Any]:
    run = RunSettings(JOB, settings.workers, settings.steps, settings.seed, settings.data)
    with _progress() as progress:
        task = progress.add_task("starting", total=None)
        stack.start(lambda name: progress.update(task, description=f"starting {name}"))
        stack.start_server(run)
        trainers = stack.start_trainers(run)
        state.write(stack.state)
        with FindingWatch(stack.kafka, JOB) as watch:
            progress.update(task, description="training", total=settings.steps)
            if settings.slow:
                _slow_and_name(stack, settings, watch, progress)
            wait_for_step(stack, JOB, settings.steps, progress)
            stack.wait_for_trainers(trainers)
            progress.update(task, description="closing the last windows", total=None)
            counts = settle(stack, settings.workers)
            findings = watch.finish()
    output.out.print(f"[bold]{counts.steps_trained} steps[/bold] trained by {settings.workers} workers; "
                     f"loss {counts.first_loss:.3f} to {counts.final_loss:.3f}")
    if not settings.slow and findings:
        raise CheckFailed(f"nobody was slowed, yet a finding was raised: {findings[0]['verdict']}")
    answers = ask_all(stack.state.kylin_url(), JOB)
    checks = reconcile(counts, stack.state.kylin_url(), JOB)
    return _report(settings, findings, checks, answers)


def _slow_and_name(stack: Stack, settings: DemoSettings, watch: FindingWatch, progress: Progress) -> None:
    culprit = settings.culprit()
    wait_for_step(stack, JOB, WARM_UP_STEPS, progress)
    pid = next(process.pid for process in stack.processes if process.name == f"trainer-{culprit}")
    with Slowdown(stack, pid, settings.slow_factor):
        at_step = steps_done(stack, JOB)
        since = time.monotonic()
        progress.console.print(f"step {at_step}: rank {culprit} (pid {pid}) now gets its processor 1/{settings.slow_factor:g} of the time")
        opened = watch.wait_for("OPENED", lambda: steps_done(stack, JOB) < settings.steps - HOLD_STEPS, progress)
        if opened is None:
            raise CheckFailed(f"rank {culprit} was slowed at step {at_step}, and no finding came by step {steps_done(stack, JOB)}")
        progress.console.print(f"[bold red]{opened['verdict']}[/bold red]  [dim]({time.monotonic() - since:.1f} s after)[/dim]")
        if opened["rank"] != culprit:
            raise CheckFailed(f"rank {culprit} was slowed, but rank {opened['rank']} was named")
        wait_for_step(stack, JOB, min(opened["detected_step"] + HOLD_STEPS, settings.steps), progress)
    progress.console.print(f"step {steps_done(stack, JOB)}: rank {culprit} runs freely again")
    closed = watch.wait_for("CLOSED", lambda: steps_done(stack, JOB) < settings.steps, progress)
    if closed is None:
        raise CheckFailed("the worker was released, and the episode was not closed before the run ended; use more --steps")
    progress.console.print(f"[bold green]{closed['verdict']}[/bold green]")


def _report(settings: DemoSettings, findings: list[dict[str, Any]], checks: dict[str, int], answers: list[dict[str, Any]]) -> dict[str, Any]:
    opened = next((finding for finding in findings if finding["state"] == "OPENED"), None)
    latest = findings[-1] if findings else None
    return {
        "verdict": opened["verdict"] if opened else None,
        "rank": opened["rank"] if opened else None,
        "onset_step": opened["onset_step"] if opened else None,
        "detected_step": opened["detected_step"] if opened else None,
        "end_step": latest["end_step"] if latest else None,
        "magnitude": latest["magnitude"] if latest else None,
        "slowed_rank": settings.culprit() if settings.slow else None,
        "counts": checks,
        "sql": answers,
    }


def _how_to_look_around(stack: Stack) -> None:
    output.out.print("left running; look around with:")
    for line in ("gradcube status", 'gradcube sql "select METRIC, avg(METRIC_VALUE) from FACTS group by METRIC"',
                 "gradcube tail gradcube.findings", "gradcube doctor", "gradcube down"):
        output.out.print(f"  {line}")
    output.out.print(f"logs in {stack.home}/logs, password of user {state.USER} in {stack.state.password_file}")


def _progress() -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=output.out, transient=True)
