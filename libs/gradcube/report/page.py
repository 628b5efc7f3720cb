"""The page: findings and a trace in, one HTML file out, with its style, its script and its data inside.

Everything that comes from the trace is escaped; the page's policy lets nothing be loaded and no other script run.
"""

import base64
import hashlib
import json
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from gradcube.diagnosis.findings import Finding
from gradcube.errors import DataError
from gradcube.report.episodes import Episode, episodes_of, verdict_of
from gradcube.report.grid import Grid, make_grid
from gradcube.report.heat import heat_data
from gradcube.report.sections import culprit_charts, findings_table, job_charts, marked_ranks, slowest_table
from gradcube.traces import Trace


def write_report(path: Path, trace: Trace, findings: list[Finding]) -> None:
    """Writes the page about `trace`; `findings` are all words about it, in order. Raises DataError when it cannot.

    It opens without a network and has less than 3 MB for 8 192 ranks and 2 000 steps: a cell of the heat map is the
    highest ratio of its ranks and steps, and the ranks that findings name have rows of their own, step by step.
    """
    text = render(trace, findings)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"the report cannot be written to {path}: {error}") from error


def render(trace: Trace, findings: list[Finding]) -> str:
    """The page's text."""
    grid, episodes = make_grid(trace), episodes_of(findings)
    marked = marked_ranks(grid, episodes)
    style, script = _file("report.css"), _file("report.js")
    return Template(_file("report.html")).substitute(
        policy=f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'",
        style=style,
        script=script,
        data=_data(heat_data(grid, marked)),
        job=escape(trace.rows.job),
        verdict=escape(verdict_of(episodes)),
        tone="bad" if episodes and episodes[0].is_open else "good",
        facts=escape(_facts(grid, episodes)),
        first_rank=grid.rank[0],
        last_rank=grid.rank[-1],
        first_step=grid.step[0],
        last_step=grid.step[-1],
        against="its own median" if grid.own else "the median of the other ranks of its stage",
        culprits=culprit_charts(grid, episodes),
        slowest=slowest_table(grid),
        curves=job_charts(trace, grid, episodes),
        findings=findings_table(episodes),
    )


def _facts(grid: Grid, episodes: list[Episode]) -> str:
    going_on = sum(episode.is_open for episode in episodes)
    attempts = len(np.unique(grid.attempt))
    parts = [
        _count(len(grid.rank), "rank"),
        f"steps {grid.step[0]} to {grid.step[-1]}",
        *([_count(attempts, "attempt")] if attempts > 1 else []),
        _count(len(episodes), "finding") + (f", {going_on} of them open at the end" if episodes else ""),
    ]
    return " · ".join(parts)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """What the policy allows: this very text, and no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _data(value: dict[str, Any]) -> str:
    """JSON that cannot end the element it stands in."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
