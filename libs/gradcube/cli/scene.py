"""The demo's scene: a worker is slowed after the warm-up, named, released, and the episode's end is reported."""

import os
import random
import time
from dataclasses import dataclass
from pathlib import Path

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from gradcube.cli import output
from gradcube.cli.findings import FindingWatch, Seen
from gradcube.cli.run import LocalRun
from gradcube.cli.slowdown import Slowdown
from gradcube.cli.state import LocalState
from gradcube.errors import CheckFailed, ConfigError

JOB = "demo"
WARM_UP_STEPS = 40
HOLD_STEPS = 20
"""How long the worker stays slow after the verdict."""


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
    kylin: bool = False
    """Ask Apache Kylin for the facts, not the gateway's own store."""

    def culprit(self) -> int:
        """The rank that will be slowed."""
        if self.slow_rank is not None:
            return self.slow_rank
        return random.Random(self.seed).randrange(self.workers)

    def slow_share(self) -> float:
        """Of the time that the slowed worker is let run: its fair share of the processors, less the slow factor.

        With more workers than processors a worker runs only part of the time anyway; a share of 1 / factor
        would then take nothing from it.
        """
        return min(1.0, len(os.sched_getaffinity(0)) / self.workers) / self.slow_factor

    def check(self) -> None:
        """Raises ConfigError for what cannot work."""
        if self.slow and self.workers < 3:
            raise ConfigError(
                f"--workers {self.workers}: a slow rank needs at least two peers; use 3 or more, or --no-slow"
            )
        if self.slow and not 0 <= self.culprit() < self.workers:
            raise ConfigError(f"--slow-rank {self.culprit()}: there are ranks 0 to {self.workers - 1}")
        if self.slow and self.slow_factor <= 1:
            raise ConfigError(f"--slow-factor {self.slow_factor}: must be above 1 (1.6 = 1.6 times as slow)")
        if self.slow and self.steps < WARM_UP_STEPS + 2 * HOLD_STEPS:
            raise ConfigError(
                f"--steps {self.steps}: at least {WARM_UP_STEPS + 2 * HOLD_STEPS} are needed to show a slow rank"
            )
        if self.kylin and self.keep:
            raise ConfigError("--keep leaves no Kylin running; start it with gradcube kylin up, and then gradcube up")
        if self.data is not None and not self.data.is_dir():
            raise ConfigError(f"--data {self.data}: no such folder")


class Scene:
    """The run, the watch over its findings, and the progress bar, while the demo plays."""

    def __init__(
        self,
        services: LocalState,
        run: LocalRun,
        settings: DemoSettings,
        watch: FindingWatch,
        progress: Progress,
    ) -> None:
        self._log = Path(services.home) / "logs" / "throttle.log"
        self._run, self._settings, self._watch, self._progress = run, settings, watch, progress

    def slow_and_name(self) -> None:
        """Raises CheckFailed when the worker is not named, another one is, or the episode does not end."""
        culprit = self._settings.culprit()
        self.wait_for_step(WARM_UP_STEPS)
        pid = self._run.trainer(culprit).pid
        with Slowdown(pid, self._settings.slow_share(), self._log):
            opened = self._name(culprit, pid)
            self.wait_for_step(min(opened["detected_step"] + HOLD_STEPS, self._settings.steps))
        self._say(f"step {self._run.steps_done()}: rank {culprit} runs freely again")
        closed = self._watch.wait_for(
            lambda found: found["id"] == opened["id"] and found["state"] == "CLOSED",
            lambda: self._step() < self._settings.steps,
        )
        if closed is None:
            raise CheckFailed(
                "the worker was released, and the episode was not closed before the run ended; use more --steps"
            )
        self._say(f"[bold green]{closed['verdict']}[/bold green]")

    def wait_for_step(self, step: int) -> None:
        """Until the run has done `step` steps, the bar moving meanwhile."""
        for target in range(self._step() + 1, step + 1):
            self._run.wait_for_step(target)
            self._step()

    def show(self, what: str) -> None:
        """Changes the bar's words."""
        for task in self._progress.tasks:
            self._progress.update(task.id, description=what)

    def _name(self, culprit: int, pid: int) -> Seen:
        since, step = time.monotonic(), self._step()
        share = f"{self._settings.slow_share():.0%}"
        self._say(f"step {step}: rank {culprit} (pid {pid}) is slowed from outside: it is let run {share} of the time")
        opened = self._watch.wait_for(names_a_rank, lambda: self._step() < self._settings.steps - HOLD_STEPS)
        if opened is None:
            raise CheckFailed(f"rank {culprit} was slowed at step {step}, and no finding came by step {self._step()}")
        self._say(f"[bold red]{opened['verdict']}[/bold red] [dim]({time.monotonic() - since:.1f} s after)[/dim]")
        if opened["rank"] != culprit:
            raise CheckFailed(f"rank {culprit} was slowed, but rank {opened['rank']} was named")
        return opened

    def _step(self) -> int:
        done = self._run.steps_done()
        self._run.raise_for_failures()
        for task in self._progress.tasks:
            self._progress.update(task.id, completed=done)
        return done

    def _say(self, words: str) -> None:
        self._progress.console.print(words)


def names_a_rank(finding: Seen) -> bool:
    """Whether it is the verdict that the demo waits for, on whichever rank: one slow rank may be seen in more ways."""
    return bool(finding["kind"] == "STRAGGLER" and finding["state"] == "OPENED")


def progress_bar() -> Progress:
    """What moves while the demo plays."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=output.out, transient=True)
