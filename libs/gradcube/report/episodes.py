"""Findings as episodes: all words about one condition together, the worst first."""

from collections.abc import Iterable
from dataclasses import dataclass

from gradcube.diagnosis.findings import Finding

WORST_FIRST = (
    "HANG", "DIVERGENCE", "SECURITY", "FAIL_SLOW", "STRAGGLER", "LOSS_SPIKE", "GRADIENT_ANOMALY", "DATA_STALL",
    "STALE_GRADIENTS", "THROTTLING", "RESOURCE_PRESSURE", "PLATEAU", "MONITOR_GAP", "OTHER",
)  # fmt: skip
"""A stopped run, a ruined run, a slow run, then what may lead to one."""
NOTHING = "nothing found"


@dataclass(frozen=True)
class Episode:
    """The first and the last word about one condition."""

    first: Finding
    last: Finding

    @property
    def is_open(self) -> bool:
        """It goes on at the end of the trace."""
        return self.last.state != "CLOSED"

    @property
    def verdicts(self) -> tuple[str, ...]:
        """What was said when it began, and what was said last, if that is something else."""
        return tuple(dict.fromkeys((self.first.verdict, self.last.verdict)))


def episodes_of(findings: Iterable[Finding]) -> list[Episode]:
    """Open ones first, then by kind, confidence and magnitude."""
    by_id: dict[str, Episode] = {}
    for finding in findings:
        known = by_id.get(finding.id)
        by_id[finding.id] = Episode(known.first if known else finding, finding)
    return sorted(by_id.values(), key=_order)


def verdict_of(episodes: list[Episode]) -> str:
    """The page's first sentence: the worst that goes on; else that nothing does, and what was."""
    if not episodes:
        return NOTHING.capitalize()
    if episodes[0].is_open:
        return episodes[0].last.verdict
    return f"{NOTHING.capitalize()} that goes on at the end; before it: {episodes[0].first.verdict}"


def _order(episode: Episode) -> tuple[bool, int, float, float, int]:
    last = episode.last
    return (not episode.is_open, WORST_FIRST.index(last.kind), -last.confidence, -last.magnitude, last.onset_step)
