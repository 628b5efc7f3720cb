"""`gradcube diagnose`: findings of recorded runs, or of flight-recorder dumps, without a broker."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.markup import escape
from rich.progress import Progress

from gradcube.cli import output, showing
from gradcube.diagnosis import Detector, Finding, catalog, plugins
from gradcube.errors import ConfigError

if TYPE_CHECKING:
    from gradcube.traces import Trace


def diagnose(
    files: list[Path] | None = typer.Argument(None, metavar="FILE", help="recorded runs: Parquet, or CSV (.csv)"),
    threshold: list[str] = typer.Option(
        [], help="of a detector, such as straggler.min_ratio=1.1 or hang.enabled=false; may be given again"
    ),
    job: str | None = typer.Option(None, help="name of the run; default: the recording's, else the file's name"),
    report: Path | None = typer.Option(None, metavar="FILE.html", help="also write one page to look at"),
    flight_recorder: Path | None = typer.Option(
        None, metavar="DIR", help="PyTorch NCCL flight-recorder dumps of a hang, one file a rank"
    ),
    json: bool = typer.Option(False, "--json", help="JSON lines also on a terminal"),
) -> None:
    """Find what was wrong in a recorded run.

    Prints findings as JSON lines, in the order in which a live run would have raised them; on a terminal, a table and
    a sentence for each. Exit code 0 with or without findings, 2 for a file that is no trace or a wrong option.
    """
    files = files or []
    _check(files, job, report, flight_recorder)
    known = plugins.load(refused=lambda reason: output.err.print(reason, markup=False))
    thresholds = _thresholds(threshold, known)
    as_json = showing.wants_json(json)
    for file in files:
        trace = _read(file, job)
        findings = showing.collect(_findings(trace, thresholds, known, str(file)), as_json=as_json)
        if not as_json:
            showing.show(findings, f"{file}: {_size(trace)}")
        if report is not None:
            _write_report(report, trace, findings)
    if flight_recorder is not None:
        _diagnose_dumps(flight_recorder, as_json=as_json)


def _read(file: Path, job: str | None) -> "Trace":
    from gradcube.traces import read_trace  # with Arrow; other commands need not wait for it

    with output.err.status(f"reading {escape(str(file))}"):
        trace = read_trace(file, job)
    if trace.unused:
        unused = ", ".join(trace.unused)
        output.err.print(f"{file}: not read, since no detector knows them: {unused}", markup=False, soft_wrap=True)
    return trace


def _findings(
    trace: "Trace", thresholds: Mapping[str, str], known: tuple[type[Detector], ...], name: str
) -> Iterator[Finding]:
    """With a bar on stderr, if somebody looks."""
    from gradcube.traces import findings_of

    with Progress(console=output.err, transient=True, disable=not output.err.is_terminal) as progress:
        task = progress.add_task(f"diagnosing {escape(name)}", total=len(trace.rows))
        yield from findings_of(trace, thresholds, known=known, told=lambda rows: progress.advance(task, rows))


def _write_report(file: Path, trace: "Trace", findings: list[Finding]) -> None:
    from gradcube.report import write_report

    write_report(file, trace, findings)
    output.err.print(f"wrote {file}", markup=False)


def _diagnose_dumps(directory: Path, *, as_json: bool) -> None:
    from gradcube.flight_recorder import diagnose_dumps

    findings = showing.collect(diagnose_dumps(directory), as_json=as_json)
    if not as_json:
        showing.show(findings, str(directory))


def _size(trace: "Trace") -> str:
    steps, ranks = len(set(trace.rows.step.tolist())), len(set(trace.rows.rank.tolist()))
    return f"{steps} steps of {ranks} {'rank' if ranks == 1 else 'ranks'}"


def _thresholds(given: list[str], known: tuple[type[Detector], ...]) -> dict[str, str]:
    thresholds = dict(each.partition("=")[::2] for each in given)
    try:
        catalog.parse(thresholds, known)
    except ConfigError as error:
        raise typer.BadParameter(str(error), param_hint="--threshold") from error
    return thresholds


def _check(files: list[Path], job: str | None, report: Path | None, flight_recorder: Path | None) -> None:
    if not files and flight_recorder is None:
        raise typer.BadParameter("name a recorded run, or --flight-recorder DIR", param_hint="FILE")
    for option, value in (("--job", job), ("--report", report)):
        if value is not None and len(files) != 1:
            raise typer.BadParameter(f"belongs to one FILE, here are {len(files)}", param_hint=option)
