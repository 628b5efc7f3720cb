"""`gradcube train`: a training run on the local services, with its own parameter server, ended with it."""

from pathlib import Path

import typer
from rich.progress import Progress

from gradcube.cli import output, processes, state
from gradcube.cli.findings import FindingWatch
from gradcube.cli.run import LocalRun, RunSettings
from gradcube.errors import ConfigError


def train(
    job: str = typer.Option("local", help="name of the run; the same name again is a new attempt"),
    workers: int = typer.Option(4, min=1, max=64, help="trainer processes"),
    steps: int = typer.Option(200, min=1, help="steps to train"),
    seed: int = typer.Option(0, help="of weights, masks and batches"),
    clip_grad_norm: float | None = typer.Option(None, help="each worker scales its gradient down to this norm"),
    data: Path | None = typer.Option(None, help="folder of text files; default: the standard library's sources"),
) -> None:
    """Train a masked language model on the services that `gradcube up` started, and print what is found."""
    services = state.require()
    if data is not None and not data.is_dir():
        raise ConfigError(f"--data {data}: no such folder")
    if clip_grad_norm is not None and not clip_grad_norm > 0:
        raise ConfigError(f"--clip-grad-norm {clip_grad_norm}: must be above 0")
    options = {} if clip_grad_norm is None else {"CLIP_GRAD_NORM": str(clip_grad_norm)}
    run = LocalRun(services, RunSettings(job, workers, steps, seed, data, options))
    try:
        run.start()
        with (
            FindingWatch(services.kafka(), job) as watch,
            Progress(console=output.err, transient=True) as progress,
        ):
            task = progress.add_task(f"training {job}", total=steps)
            known = 0
            while not run.finished():
                progress.update(task, completed=run.steps_done())
                watch.poll(0.5)
                for finding in watch.seen[known:]:
                    progress.console.print(finding["verdict"])
                known = len(watch.seen)
        run.raise_for_failures()
        for summary in run.summaries():
            output.out.print(
                f"rank {summary['rank']}: {summary['steps']} steps, "
                f"loss {summary['first_loss']:.3f} to {summary['final_loss']:.3f}"
            )
    finally:
        processes.stop(run.processes)
