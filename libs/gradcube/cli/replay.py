"""`gradcube replay`: a recorded run through the live service once more, under a name of its own."""

import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.progress import Progress

from gradcube.cli import output, showing
from gradcube.cli.findings import FindingWatch
from gradcube.cli.record import STEPS, broker_settings, until_end, write_trace
from gradcube.cli.replay_link import ReplayLink
from gradcube.diagnosis import Finding, from_record
from gradcube.settings import KafkaSettings

if TYPE_CHECKING:
    from gradcube.traces import Trace

AS_FAST_AS_IT_GOES = "max"


def replay(
    file: Path | None = typer.Argument(None, metavar="FILE", help="a recorded run: Parquet, or CSV (.csv)"),
    topic: str | None = typer.Option(None, help="replay what lies in this topic instead: gradcube.steps, with --job"),
    job: str | None = typer.Option(None, help="the run that is replayed; with --topic it must be said"),
    name: str | None = typer.Option(None, "--as", metavar="NAME", help="name of the replay; default: JOB-replay-TIME"),
    speed: str = typer.Option("1", metavar="X|max", help="times as fast as it was; max: as fast as it is read"),
    broker: str | None = typer.Option(None, metavar="HOST:PORT", help="default: the local one, else GRADCUBE_KAFKA_*"),
    findings: bool = typer.Option(False, "--findings", help="print what the live service finds"),
    wait: float = typer.Option(20, min=1, help="with --findings: seconds without a finding, after the end"),
    json: bool = typer.Option(False, "--json", help="with --findings: JSON lines also on a terminal"),
) -> None:
    """Send a recorded run to gradcube.steps again; event time is kept.

    The service knows each name's steps once, so a replay needs a name that was not there before.
    """
    pace, settings = _speed(speed), broker_settings(broker)
    trace = _in_the_past(_trace(settings, file, topic, job))
    name = name or f"{trace.rows.job}-replay-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}"
    with ExitStack() as stack:
        watch = stack.enter_context(FindingWatch(settings, name)) if findings else None
        link = stack.enter_context(ReplayLink(settings, name))
        live = _live(watch, link, trace, name, pace, wait)
        as_json = showing.wants_json(json)
        found = showing.collect(live, as_json=as_json)
    output.err.print(f"sent {link.sent} records of {name}; the service read {link.read}", markup=False)
    if findings and not as_json:
        showing.show(found, name)


def _live(
    watch: FindingWatch | None, link: ReplayLink, trace: "Trace", name: str, speed: float, wait_seconds: float
) -> Iterator[Finding]:
    """Sends all of the trace; gives the findings, if watched, as they come."""
    known, quiet_since = 0, 0.0
    for ended in _sending(link, trace, name, speed):
        if watch is not None and not ended:
            watch.poll(0)
            yield from map(from_record, watch.seen[known:])
            known = len(watch.seen)
    quiet_since = time.monotonic()
    while watch is not None and time.monotonic() - quiet_since < wait_seconds:
        watch.poll(0.5)
        yield from map(from_record, watch.seen[known:])
        if len(watch.seen) > known:
            known, quiet_since = len(watch.seen), time.monotonic()


def _sending(link: ReplayLink, trace: "Trace", name: str, speed: float) -> Iterator[bool]:
    """Sends each step when it is due; yields about every second, and True at the end."""
    from gradcube.traces.replaying import StepEncoding, due_seconds, records_in_flight

    encoding, ranks = StepEncoding(name), len(set(trace.rows.rank.tolist()))
    started = looked = time.monotonic()
    with Progress(console=output.err, transient=True, disable=not output.err.is_terminal) as progress:
        task = progress.add_task(f"replaying as {name}", total=len(trace.rows))
        for due, rows in due_seconds(trace, speed):
            while (left := started + due - time.monotonic()) > 0:
                link.listen(min(left, 0.5))
                yield False
            link.send(encoding.records(rows), records_in_flight(ranks))
            progress.advance(task, len(rows))
            if time.monotonic() - looked > 1:
                looked = time.monotonic()
                yield False
        link.wait_until_read()
        yield True


def _trace(settings: KafkaSettings, file: Path | None, topic: str | None, job: str | None) -> "Trace":
    from gradcube.traces import read_trace

    if (file is None) == (topic is None):
        raise typer.BadParameter("give either FILE or --topic")
    if file is not None:
        return read_trace(file, job)
    if topic != STEPS or job is None:
        raise typer.BadParameter(f"only {STEPS} can be replayed, and of one --job", param_hint="--topic")
    with tempfile.TemporaryDirectory(prefix="gradcube-replay-") as folder:
        recorded = Path(folder, "recorded.parquet")
        write_trace(settings, job, recorded, until_end())
        return read_trace(recorded)


def _in_the_past(trace: "Trace") -> "Trace":
    from gradcube.traces.replaying import not_ahead_of

    moved, ahead_micros = not_ahead_of(trace, time.time_ns() // 1000)
    if ahead_micros:
        output.err.print(f"its times lie ahead of the clock; all are moved back by {ahead_micros / 1e6:.0f} s")
    return moved


def _speed(text: str) -> float:
    try:
        speed = math.inf if text == AS_FAST_AS_IT_GOES else float(text)
    except ValueError:
        speed = math.nan
    if not speed > 0:
        raise typer.BadParameter(f"{text!r} is neither a number above 0 nor max", param_hint="--speed")
    return speed
