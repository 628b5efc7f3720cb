"""What is written down of one action, as the body of a line of the audit chain."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gradcube.security.redaction import Redacted, redact

VERDICTS = ("ok", "refused", "failed", "cancelled", "denied")
"""refused: by the guard; denied: by roles, grants or limits; failed: by the engine, or at its time limit."""
_MAX_CHARACTERS = 256


@dataclass(frozen=True)
class Entry:
    """One action of somebody. `reason` says why it was not ok, by an error's message; `rows` are those given out."""

    who: str
    address: str
    action: str
    verdict: str
    statement: str = ""
    rows: int | None = None
    seconds: float = 0.0
    reason: str | None = None

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict {self.verdict!r} is none of {', '.join(VERDICTS)}")

    def body(self, now_seconds: float) -> dict[str, Any]:
        """JSON values, bounded, without secrets. `now_seconds` since 1970, UTC."""
        statement = redact(self.statement)
        return {
            "kind": "action",
            "time": timestamp(now_seconds),
            "who": self.who[:_MAX_CHARACTERS],
            "address": self.address[:_MAX_CHARACTERS],
            "action": self.action[:_MAX_CHARACTERS],
            "verdict": self.verdict,
            "rows": self.rows,
            "seconds": round(self.seconds, 6),
            "reason": None if self.reason is None else statement.clean(self.reason)[:_MAX_CHARACTERS],
            "statement": statement.text,
            **_whole(statement),
        }


def timestamp(seconds: float) -> str:
    """ISO 8601 in UTC with microseconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _whole(statement: Redacted) -> dict[str, Any]:
    if not statement.cut:
        return {}
    return {"statement_characters": statement.characters, "statement_sha256": statement.sha256}
