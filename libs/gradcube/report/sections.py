"""The parts of the page, as markup: charts of culprits and of the job, tables of ranks and of findings."""

from dataclasses import asdict
from html import escape

import numpy as np
from numpy.typing import NDArray

from gradcube.report.charts import Chart, Line, Shade
from gradcube.report.episodes import Episode
from gradcube.report.grid import Grid
from gradcube.report.series import against_peers, of_job
from gradcube.traces import Trace

MAX_MARKED = 12
MAX_CULPRITS = 4
MAX_FINDINGS = 500
NUM_SLOWEST = 10
MAX_EVIDENCE = 6


def marked_ranks(grid: Grid, episodes: list[Episode]) -> NDArray[np.int64]:
    """Places of the ranks that the worst findings name, up to MAX_MARKED, in order."""
    found: list[int] = []
    for episode in episodes:
        found += [int(at) for at in np.flatnonzero(grid.members(episode.first.subject)) if at not in found]
    return np.array(sorted(found[:MAX_MARKED]), np.int64)


def culprit_charts(grid: Grid, episodes: list[Episode]) -> str:
    """Own time against the peers' of the first subjects that are ranks of the trace."""
    drawn: dict[str, str] = {}
    for episode in episodes:
        members = grid.members(episode.first.subject)
        who = subject_text(episode)
        if members.any() and not members.all() and who not in drawn and len(drawn) < MAX_CULPRITS:
            lines = against_peers(grid, members)
            shades = [shade(grid, each) for each in episodes if subject_text(each) == who]
            chart = Chart(
                f"{who} against its peers", "seconds of own work a step", grid.step,
                [Line("median of its peers", "middle", lines.middle), Line(who, "own", lines.own)],
                (lines.low, lines.high), shades,
            )  # fmt: skip
            drawn[who] = _figure(chart, f"{who}, the median of its peers, and the band from their p10 to their p90")
    return "".join(drawn.values()) or "<p>No finding names a rank that has peers in this trace.</p>"


def job_charts(trace: Trace, grid: Grid, episodes: list[Episode]) -> str:
    """Loss and gradient norm of the job, with every episode shaded."""
    shades = [shade(grid, episode) for episode in episodes]
    drawn = ""
    for title, names in {"loss": ("loss",), "gradient norm": ("global_grad_norm", "grad_norm")}.items():
        values = of_job(trace, grid, *names)
        if np.isfinite(values).any():
            chart = Chart(title, title, grid.step, [Line(title, "loss", values)], shades=shades)
            drawn += _figure(chart, f"{title} by step, mean of the ranks; episodes are shaded")
    return drawn or "<p>The trace has neither loss nor gradient norm.</p>"


def shade(grid: Grid, episode: Episode) -> Shade:
    """The columns of an episode; an open one goes on to the last."""
    last = episode.last
    end = len(grid.step) - 1 if last.end_step is None else grid.column(last.attempt, last.end_step)
    first = min(grid.column(last.attempt, last.onset_step), end)
    return Shade(f"{last.kind} of {subject_text(episode)}", first, end)


def slowest_table(grid: Grid) -> str:
    """The heat map's text alternative: the ranks with the highest median ratio."""
    finite = np.isfinite(grid.ratio)
    known = np.flatnonzero(finite.any(axis=1))
    usual = np.array([np.median(grid.ratio[at][finite[at]]) for at in known])
    worst = known[np.argsort(-usual, kind="stable")[:NUM_SLOWEST]]
    rows = []
    for at in worst:
        own = np.where(finite[at], grid.ratio[at], -np.inf)
        peak = int(own.argmax())
        cells = (
            str(grid.rank[at]), str(grid.node[at]), str(grid.stage[at]), f"{np.median(grid.ratio[at][finite[at]]):.3f}",
            f"{own[peak]:.3f}", str(grid.step[peak]),
        )  # fmt: skip
        rows.append(_row(cells))
    head = _row(("rank", "node", "stage", "median ratio", "highest ratio", "at step"), "th")
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def findings_table(episodes: list[Episode]) -> str:
    """Every episode: state, what, who, steps, how much, how sure, its words and its evidence."""
    if not episodes:
        return "<p>Nothing found.</p>"
    names = ("state", "kind", "subject", "steps", "magnitude", "confidence", "verdict")
    rows = "".join(_finding(episode) for episode in episodes[:MAX_FINDINGS])
    more = len(episodes) - MAX_FINDINGS
    note = f"<p>{more} more are not shown.</p>" if more > 0 else ""
    return f'<table class="findings"><thead>{_row(names, "th")}</thead><tbody>{rows}</tbody></table>{note}'


def _finding(episode: Episode) -> str:
    last = episode.last
    steps = f"{last.onset_step} to {'the end' if last.end_step is None else last.end_step}"
    words = "".join(f"<p>{escape(verdict)}</p>" for verdict in episode.verdicts)
    evidence = "".join(f"<li>{escape(_evidence(piece))}</li>" for piece in _pieces(episode))
    state = "open" if episode.is_open else "closed"
    cells = "".join(
        f"<td>{escape(text)}</td>"
        for text in (last.kind, subject_text(episode), steps, f"{last.magnitude:.3g}", f"{last.confidence:.0%}")
    )
    return f'<tr class="{state}"><td>{state}</td>{cells}<td>{words}<ul>{evidence}</ul></td></tr>'


def _pieces(episode: Episode) -> list[tuple[str, float, float | None, str]]:
    pieces = episode.last.evidence or episode.first.evidence
    return [(piece.signal, piece.value, piece.peers, piece.unit) for piece in pieces[:MAX_EVIDENCE]]


def _evidence(piece: tuple[str, float, float | None, str]) -> str:
    signal, value, peers, unit = piece
    beside = "" if peers is None else f", peers {peers:.4g}"
    return f"{signal}: {value:.4g}{beside} {unit}"


def subject_text(episode: Episode) -> str:
    """`rank 3 on node-b`, `stage 2`, `the job`."""
    subject = episode.first.subject
    if subject.rank is not None:
        return f"rank {subject.rank}" + (f" on {subject.node}" if subject.node else "")
    named = [f"{name} {value}" for name, value in asdict(subject).items() if value is not None]
    return ", ".join(named) or "the job"


def _figure(chart: Chart, caption: str) -> str:
    legend = "".join(f'<li class="key {line.kind}">{escape(line.name)}</li>' for line in chart.lines)
    return (
        f"<figure>{chart.svg()}<figcaption>{escape(caption)}</figcaption>"
        f'<ul class="legend" aria-hidden="true">{legend}</ul></figure>'
    )


def _row(cells: tuple[str, ...], tag: str = "td") -> str:
    scope = ' scope="col"' if tag == "th" else ""
    return f"<tr>{''.join(f'<{tag}{scope}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
