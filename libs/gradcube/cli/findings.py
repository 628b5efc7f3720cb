"""`gradcube findings`, and the watch over gradcube.findings that other commands use: as any consumer of the topic."""

from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import typer
from rich.markup import escape

from gradcube.bus.consumer import BatchConsumer, Record
from gradcube.cli import output, showing
from gradcube.cli.topics import kafka
from gradcube.diagnosis.findings import Finding, from_record
from gradcube.errors import SchemaError
from gradcube.events.codec import decode
from gradcube.settings import KafkaSettings

TOPIC = "gradcube.findings"

Seen = dict[str, Any]
"""A record of the topic."""


def findings(
    follow: bool = typer.Option(False, "--follow", "-f", help="print each as it comes, and wait for more"),
    job: str | None = typer.Option(None, help="only those of this job"),
    json: bool = typer.Option(False, "--json", help="JSON lines also on a terminal"),
) -> None:
    """What was found, from the topic's beginning: who is slow, stuck or wrong, since when, and what to do.

    On a terminal a table of the episodes and their sentences, with --follow a line for each word; else JSON lines.
    """
    as_json = showing.wants_json(json)
    with FindingWatch(kafka(), job) as watch:
        if not follow:
            watch.read_to_end()
        found = showing.collect(map(from_record, watch.seen), as_json=as_json)
        if not follow and not as_json:
            showing.show(found, job or "all jobs")
        while follow:
            known = len(watch.seen)
            watch.poll(0.5)
            for finding in map(from_record, watch.seen[known:]):
                _tell(finding, as_json=as_json)
            watch.seen.clear()


def _tell(finding: Finding, *, as_json: bool) -> None:
    if as_json:
        showing.print_json_line(finding)
    else:
        output.out.print(line_of(finding), soft_wrap=True)


def line_of(finding: Finding) -> str:
    """`10:32:05 bert opened straggler: rank 3 is ...`, as Rich markup; the time is that of the training, in UTC."""
    time = datetime.fromtimestamp(finding.detected_at_micros / 1e6, UTC)
    colour = "green" if finding.state == "CLOSED" else "red"
    what = f"{finding.state.lower()} {finding.kind.lower()}"
    return f"{time:%H:%M:%S} {escape(finding.job)} [{colour}]{what}[/{colour}]: {escape(finding.verdict)}"


class FindingWatch:
    """Reads the topic from its beginning; `with FindingWatch(settings, "demo") as watch`. A job of None is all."""

    def __init__(self, settings: KafkaSettings, job: str | None) -> None:
        self._kafka = settings
        self._job = job
        self.seen: list[Seen] = []

    def __enter__(self) -> Self:
        self._consumer = BatchConsumer(self._kafka, [TOPIC])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def poll(self, timeout_seconds: float) -> None:
        """Adds what has arrived to `seen`."""
        for record in self._consumer.poll(timeout_seconds):
            if record.value is not None:
                self._take(record, record.value)

    def read_to_end(self) -> None:
        """Adds everything that lies in the topic now."""
        ends = self._consumer.end_offsets()
        while any(self._consumer.positions().get(place, 0) < end for place, end in ends.items()):
            self.poll(1.0)

    def _take(self, record: Record, value: bytes) -> None:
        try:
            finding = decode(value)[1]
        except SchemaError as error:
            where = f"{TOPIC}, partition {record.partition}, offset {record.offset}"
            output.err.print(f"{where} is no finding: {error}", markup=False)
            return
        if self._job in (None, finding["job"]):
            self.seen.append(finding)

    def wait_for(self, wanted: Callable[[Seen], bool], while_true: Callable[[], bool]) -> Seen | None:
        """The first finding that is `wanted`, or None when `while_true` says to give up (after one more look)."""
        going = True
        while going:
            going = while_true()
            self.poll(0.3 if going else 5.0)
            found = next((finding for finding in self.seen if wanted(finding)), None)
            if found is not None:
                return found
        return None

    def finish(self) -> list[Seen]:
        """Everything seen, after a last look."""
        self.poll(1.0)
        return self.seen
