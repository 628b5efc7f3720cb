"""The `gradcube` command: its subcommands, and what an error means as an exit code."""

import signal
import sys
from enum import StrEnum
from pathlib import Path
from types import FrameType

import typer
from rich.markup import escape

from gradcube.bus.local_broker import fetch_broker
from gradcube.cli import audit, cube, dead_letters, doctor, kylin, output, topics, users
from gradcube.cli.demo import run_demo
from gradcube.cli.diagnose import diagnose
from gradcube.cli.findings import findings
from gradcube.cli.record import record
from gradcube.cli.replay import replay
from gradcube.cli.scene import DemoSettings
from gradcube.cli.sql import sql
from gradcube.cli.thresholds import set_thresholds, show_thresholds
from gradcube.cli.train import train
from gradcube.cli.up import down, status, up
from gradcube.errors import GradcubeError

app = typer.Typer(
    help="Watches distributed language-model training: names the slow rank, and answers SQL about every run.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(up)
app.command()(down)
app.command()(status)
app.command()(train)
app.command()(sql)
app.command()(topics.tail)
app.command()(doctor.doctor)
app.command()(diagnose)
app.command()(findings)
app.command()(record)
app.command()(replay)
app.command("set")(set_thresholds)
app.command("thresholds")(show_thresholds)
app.add_typer(topics.app, name="topics")
app.add_typer(dead_letters.app, name="dlq")
app.add_typer(cube.app, name="cube")
app.add_typer(kylin.app, name="kylin")
app.add_typer(users.app, name="user")
app.add_typer(audit.app, name="audit")


class Engine(StrEnum):
    """Of the demo."""

    embedded = "embedded"
    kylin = "kylin"


@app.command()
def demo(
    workers: int = typer.Option(4, min=1, max=16, help="trainer processes"),
    steps: int = typer.Option(200, min=1, help="steps to train"),
    seed: int = typer.Option(0, help="of weights, batches and the slow rank"),
    slow: bool = typer.Option(True, "--slow/--no-slow", help="--no-slow slows nobody; then no finding may be raised"),
    slow_rank: int | None = typer.Option(None, help="worker to slow; default: drawn by seed"),
    slow_factor: float = typer.Option(1.6, help="it runs 1/FACTOR of its fair share of the time"),
    data: Path | None = typer.Option(None, help="folder of text files; default: the standard library's sources"),
    keep: bool = typer.Option(False, "--keep", help="leave everything running at the end"),
    engine: Engine = typer.Option(Engine.embedded, help="what answers SQL about the facts"),
    json_file: Path | None = typer.Option(None, "--json", help="also write the report to this file"),
) -> None:
    """Train a language model here, slow one worker, name it, and ask SQL about it."""
    report = run_demo(
        DemoSettings(workers, steps, seed, slow, slow_rank, slow_factor, data, keep, engine is Engine.kylin)
    )
    output.out.print(f"done in {report['seconds']} s")
    if json_file is not None:
        output.write_json(json_file, report)


@app.command()
def fetch() -> None:
    """Fetch the broker's jars into the user's cache, once."""
    with output.err.status("fetching the broker") as status:
        fetch_broker(status.update)


def main() -> None:
    """Entry point of the console script. GradcubeError becomes one line on stderr and its exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app()
    except GradcubeError as error:
        output.err.print(f"[red]{type(error).__name__}[/red]: {escape(str(error))}", soft_wrap=True)
        sys.exit(error.exit_code)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    """TERM ends the command as Ctrl-C does: every `finally` runs, nothing is left."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
