"""How findings are shown: one JSON line each for programs; a table of episodes and their sentences for people."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.markup import escape

from gradcube.cli import output
from gradcube.diagnosis import Finding, to_record

COLUMNS = ("kind", "who", "state", "since step", "seen at step", "until step", "magnitude", "confidence")


def wants_json(json_asked: bool) -> bool:
    """JSON lines when asked for, or when nobody looks: stdout is no terminal."""
    return json_asked or not output.out.is_terminal


def print_json_line(finding: Finding) -> None:
    """One line, at once: the fields of the topic's records. What is not a number is null."""
    line = json.dumps({key: _plain(value) for key, value in to_record(finding).items()}, allow_nan=False)
    output.out.file.write(line + "\n")
    output.out.file.flush()


def show(findings: Sequence[Finding], title: str) -> None:
    """The last word on each episode, as a table, and its sentence below."""
    episodes = list({finding.id: finding for finding in findings}.values())
    if not episodes:
        output.out.print(f"{escape(title)}: nothing found")
        return
    output.out.print(output.table(COLUMNS, [_row(finding) for finding in episodes], title=escape(title)))
    for finding in episodes:
        output.out.print(f"- {escape(finding.verdict)}")


def collect(findings: Iterable[Finding], *, as_json: bool) -> list[Finding]:
    """All of them; as JSON each is printed as soon as it is there."""
    found = []
    for finding in findings:
        if as_json:
            print_json_line(finding)
        found.append(finding)
    return found


def _row(finding: Finding) -> tuple[Any, ...]:
    who = [f"{name} {value}" for name, value in asdict(finding.subject).items() if value is not None]
    return (
        finding.kind.lower(), ", ".join(who) or "the whole job", finding.state.lower(), finding.onset_step,
        finding.detected_step, finding.end_step, finding.magnitude, finding.confidence,
    )  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value
