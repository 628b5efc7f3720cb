"""What gradcube says of a recording: fed step by step through its own diagnosis, as a live run would be."""

from collections.abc import Iterator

import numpy as np

from gradcube import traces
from gradcube.diagnosis import Finding, Subject
from gradcube.windows.columns import BoolArray
from tests.bench.diagnosis.judge import Claim
from tests.bench.diagnosis.recordings import Recording

SLOW_KINDS = frozenset({"STRAGGLER", "FAIL_SLOW", "DATA_STALL"})
NOTICE = "OTHER"
"""Told once and not followed: an imbalance by design, a constant difference. Neither alarm nor catch."""


def findings_of(recording: Recording) -> list[Finding]:
    """Every finding of every detector with its thresholds as they come, in the order in which they were raised."""
    return list(traces.findings_of(traces.Trace(recording.rows, ())))


def episodes_of(findings: list[Finding], kinds: frozenset[str] | None = None) -> list[tuple[Finding, Finding]]:
    """The first and the last word about each episode, of these kinds or of all but notices."""
    words: dict[str, tuple[Finding, Finding]] = {}
    for finding in findings:
        if finding.kind in kinds if kinds is not None else finding.kind != NOTICE:
            words[finding.id] = (words.get(finding.id, (finding, finding))[0], finding)
    return list(words.values())


def claims_of(findings: list[Finding], recording: Recording) -> list[Claim]:
    """The episodes of slowness as claims about columns of the grid."""
    return [
        Claim(
            at=int(np.searchsorted(recording.steps, first.detected_step)),
            who=frozenset(np.flatnonzero(named(first.subject, recording)).tolist()),
            ratio=last.magnitude,
            closed=last.state == "CLOSED",
        )
        for first, last in episodes_of(findings, SLOW_KINDS)
    ]


def flagged_claims(flags: BoolArray) -> Iterator[Claim]:
    """A comparator's flags (s, r) as claims: one each time that a rank's flag goes up."""
    up = flags & ~np.vstack([np.zeros((1, flags.shape[1]), bool), flags[:-1]])
    for at, column in np.argwhere(up).tolist():
        yield Claim(at, frozenset({column}), None, bool(not flags[-1, column]))


def named(subject: Subject, recording: Recording) -> BoolArray:
    """Which ranks a subject names, (r,): those that fit all that it says, none for a server or a link."""
    ranks = recording.num_ranks
    own = {name: getattr(recording.rows, name)[:ranks] for name in ("rank", "node", "stage", "replica")}
    who = np.full(ranks, subject.shard is None and subject.link is None)
    for name, values in own.items():
        wanted = getattr(subject, name)
        if wanted is not None:
            who &= values == wanted
    return who
