"""`gradcube record`: the step records of one job from gradcube.steps into a trace file."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from gradcube.bus.consumer import BatchConsumer, Record
from gradcube.cli import output
from gradcube.cli.topics import kafka
from gradcube.errors import DataError
from gradcube.settings import KafkaSettings

STEPS = "gradcube.steps"
POLL_SECONDS = 0.5
MAX_RECORDS = 10_000

GoOn = Callable[[BatchConsumer, float], bool]
"""(consumer, seconds since a record of the job came) -> whether to read on."""


def record(
    file: Path = typer.Argument(metavar="OUT.parquet", help="the trace to write; it must not exist"),
    job: str = typer.Option(..., help="the run whose records are wanted"),
    broker: str | None = typer.Option(None, metavar="HOST:PORT", help="default: the local one, else GRADCUBE_KAFKA_*"),
    from_now: bool = typer.Option(False, "--from-now", help="leave out what is already there"),
    follow: bool = typer.Option(False, "--follow", help="go on until Ctrl-C"),
    seconds: float | None = typer.Option(None, min=0.1, help="go on for so long"),
    until_idle: float | None = typer.Option(None, min=0.1, help="go on until no record came for so many seconds"),
) -> None:
    """Write a running or finished job to a trace, for `gradcube diagnose` and `gradcube replay`.

    Without --follow, --seconds or --until-idle it ends where the topic ended when it began. Ctrl-C ends it in order.
    """
    settings = broker_settings(broker)
    go_on = _going(follow=follow, seconds=seconds, until_idle=until_idle)
    records = write_trace(settings, job, file, go_on, from_beginning=not from_now)
    output.out.print(f"wrote {file}: {records} records of {job}", markup=False, soft_wrap=True)


def broker_settings(broker: str | None) -> KafkaSettings:
    """The broker that is named, else the local one when services run here, else GRADCUBE_KAFKA_*."""
    return KafkaSettings.load(bootstrap=broker) if broker else kafka()


def write_trace(settings: KafkaSettings, job: str, file: Path, go_on: GoOn, *, from_beginning: bool = True) -> int:
    """Records written. Raises DataError, and leaves no file, when there was none."""
    from gradcube.traces.recording import Recording
    from gradcube.traces.writer import TraceWriter

    with (
        BatchConsumer(settings, [STEPS], from_beginning=from_beginning, max_records=MAX_RECORDS) as consumer,
        TraceWriter(file, job) as writer,
        _progress() as progress,
        stop_asked() as stopped,
    ):
        recording, task = Recording(writer, job), progress.add_task(f"recording {job}", total=None)
        began_micros, came_at = time.time_ns() // 1000, time.monotonic()
        while go_on(consumer, time.monotonic() - came_at) and not stopped.is_set():
            records = consumer.poll(POLL_SECONDS)
            writer.until_micros = _heard_until(records)
            if recording.add(records):
                came_at = time.monotonic()
                progress.update(task, completed=writer.records)
        if not stopped.is_set():  # read to the end: it was silent until then, at least
            writer.until_micros = max(began_micros, writer.until_micros or 0)
    if recording.unreadable or writer.repeated:
        output.err.print(f"left out: {recording.unreadable} unreadable records, {writer.repeated} sent twice")
    if not writer.records:
        others = ", ".join(sorted(recording.other_jobs)[:8])
        raise DataError(f"no record of {job!r} in {STEPS}; {f'there are {others}' if others else 'it was empty'}")
    return writer.records


def _heard_until(records: Sequence[Record]) -> int:
    """Micros up to which nothing more can come: those of the newest record, or now that there is none."""
    return max((record.timestamp_millis * 1000 for record in records), default=time.time_ns() // 1000)


def until_end() -> GoOn:
    """Reads up to where the topic ended at the first question."""
    ends: dict[tuple[str, int], int] = {}

    def go_on(consumer: BatchConsumer, _: float) -> bool:
        ends.update(ends or consumer.end_offsets())
        positions = consumer.positions()
        return any(positions.get(place, 0) < end for place, end in ends.items())

    return go_on


@contextmanager
def stop_asked() -> Iterator[threading.Event]:
    """Set by Ctrl-C or TERM, which here end no statement in its middle: a row group is written whole."""
    asked = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: asked.set()) for number in signals]
    try:
        yield asked
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def _going(*, follow: bool, seconds: float | None, until_idle: float | None) -> GoOn:
    if sum((follow, seconds is not None, until_idle is not None)) > 1:
        raise typer.BadParameter("choose one of --follow, --seconds and --until-idle")
    if follow:
        return lambda *_: True
    if seconds is not None:
        until = time.monotonic() + seconds
        return lambda *_: time.monotonic() < until
    if until_idle is not None:
        return lambda _, idle_seconds: idle_seconds < until_idle
    return until_end()


def _progress() -> Progress:
    columns = (TextColumn("{task.description}: {task.completed:.0f} records"), TimeElapsedColumn())
    return Progress(*columns, console=output.err, transient=True, disable=not output.err.is_terminal)
