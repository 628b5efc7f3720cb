"""What a detector says: findings with their evidence, one id an episode, and their form in the Avro schema Finding."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

State = Literal["OPENED", "UPDATED", "CLOSED"]


@dataclass(frozen=True)
class Subject:
    """Whom it is about: any of the fields, or none for the whole job. `Subject(rank=2, node="node-b")`."""

    rank: int | None = None
    node: str | None = None
    stage: int | None = None
    replica: int | None = None
    shard: int | None = None
    link: str | None = None


@dataclass(frozen=True)
class Evidence:
    """One signal: the subject's value beside its peers'; `peers` is None where there are none."""

    signal: str
    value: float
    peers: float | None
    unit: str


@dataclass(frozen=True)
class Finding:
    """One word about one episode: that it began, goes on, or is over. Steps count from 0, times are micros."""

    id: str
    job: str
    attempt: int
    kind: str
    state: State
    subject: Subject
    onset_step: int
    detected_step: int
    end_step: int | None
    onset_at_micros: int
    detected_at_micros: int
    magnitude: float
    confidence: float
    evidence: tuple[Evidence, ...]
    verdict: str

    def updated(self, state: State, **changes: Any) -> "Finding":
        """The same episode later on: same id, onset and detection."""
        return replace(self, state=state, **changes)


def word_of(finding: Finding) -> tuple[str, str, float]:
    """What two records of an episode share when they say the same.

    It opens and closes once, and an update that does not move the magnitude in its third decimal says nothing new.
    """
    return finding.id, finding.state, round(finding.magnitude, 3) if finding.state == "UPDATED" else 0.0


def finding_id(job: str, attempt: int, kind: str, subject: Subject, onset_step: int) -> str:
    """32 hex digits that depend on the arguments alone. A node's name is no part of it: ranks move."""
    who = {name: value for name, value in asdict(subject).items() if value is not None and name != "node"}
    if not who and subject.node is not None:
        who = {"node": subject.node}
    parts = json.dumps([job, int(attempt), kind, who, int(onset_step)], sort_keys=True)
    return hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()


def to_record(finding: Finding) -> dict[str, Any]:
    """The record of the schema Finding, with times as micros."""
    return {
        "id": finding.id,
        "job": finding.job,
        "attempt": finding.attempt,
        "kind": finding.kind,
        "state": finding.state,
        **asdict(finding.subject),
        "onset_step": finding.onset_step,
        "detected_step": finding.detected_step,
        "end_step": finding.end_step,
        "onset_at": finding.onset_at_micros,
        "detected_at": finding.detected_at_micros,
        "magnitude": finding.magnitude,
        "confidence": finding.confidence,
        "evidence": [asdict(piece) for piece in finding.evidence],
        "verdict": finding.verdict,
    }


def from_record(record: Mapping[str, Any]) -> Finding:
    """The inverse of `to_record`, for a record that `gradcube.events.decode` gave."""
    own = {field.name for field in fields(Subject)}
    renamed = {"onset_at": "onset_at_micros", "detected_at": "detected_at_micros"}
    rest = {renamed.get(name, name): value for name, value in record.items() if name not in own}
    rest["evidence"] = tuple(Evidence(**piece) for piece in record["evidence"])
    return Finding(subject=Subject(**{name: record[name] for name in own}), **rest)
