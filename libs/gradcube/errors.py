"""Everything that can go wrong, as one tree, and what each branch means as an exit code.

GradcubeError
├── ConfigError            the caller's settings; nothing was started (exit 78)
├── DataError              what was given to read is not what it should be (exit 65)
├── SchemaError            a record or schema that cannot be read (exit 65)
│   └── UnknownSchemaId
├── BusError               Kafka said no, or did not answer (exit 69)
│   ├── BrokerUnavailable
│   └── TopicMismatch      a topic is missing or has another shape than schemas/topics.yaml
├── SyncError              parameter exchange (exit 69)
│   ├── ProtocolError      a frame that is not ours
│   ├── StaleVersion
│   ├── MembershipChanged  compute the step again with the new assignment
│   └── PeerLost
├── CoordinatorError       the coordinator said no, or did not answer (exit 69)
│   └── LeaseRefused       the name or rank is taken
├── AccessError            who asks may not, or not now (exit 77)
│   ├── NotAuthenticated   no password or token, or a wrong one
│   ├── Forbidden          known, but without the role or the grant
│   └── TooMany            of them or of their mistakes; carries when to come back
├── AuditError             the audit chain cannot be written, so nothing may be done (exit 74)
├── QueryError             refused or failed SQL; carries position and hint (exit 65)
└── CheckFailed            a promise that was checked and did not hold (exit 1)
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class GradcubeError(Exception):
    """Root of the tree. The message says what was wrong, the value, and what to do."""

    exit_code = 70


class ConfigError(GradcubeError):
    """The caller's settings are wrong; nothing was started."""

    exit_code = 78


class DataError(GradcubeError):
    """What was given to read (text, a file, a trace) is not what it should be."""

    exit_code = 65


class SchemaError(GradcubeError):
    """A record or schema that cannot be read."""

    exit_code = 65


class UnknownSchemaId(SchemaError):
    """The record names a schema id that the registry does not have."""


class BusError(GradcubeError):
    """Kafka said no, or did not answer."""

    exit_code = 69


class BrokerUnavailable(BusError):
    """No broker answered at the given address."""


class TopicMismatch(BusError):
    """A topic is missing or has another shape than schemas/topics.yaml."""


class SyncError(GradcubeError):
    """Parameter exchange failed."""

    exit_code = 69


class ProtocolError(SyncError):
    """A frame that is not ours, or longer than allowed."""


class StaleVersion(SyncError):
    """The version asked for is not the one that the shard holds."""


class MembershipChanged(SyncError):
    """The membership moved on: compute the step again with the new assignment."""


class PeerLost(SyncError):
    """The other end closed or did not answer in time."""


class CoordinatorError(GradcubeError):
    """The coordinator said no, or did not answer."""

    exit_code = 69


class LeaseRefused(CoordinatorError):
    """The job's name or the rank is taken by somebody whose lease is alive."""


class AccessError(GradcubeError):
    """Who asks may not do this, or not now."""

    exit_code = 77


class NotAuthenticated(AccessError):
    """No password or token was given, or a wrong one; which of them is not said."""


class Forbidden(AccessError):
    """Known, but without the role or the grant that this needs."""


class TooMany(AccessError):
    """Too many requests or mistakes of one principal or address; `retry_after_seconds` says when to come back."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class AuditError(GradcubeError):
    """The audit chain cannot be written: what would not be recorded is not done."""

    exit_code = 74


class QueryError(GradcubeError):
    """Refused or failed SQL.

    `position` is the 1-based offset in the statement when it is known; `hint` says what to write instead.
    """

    exit_code = 65

    def __init__(self, message: str, *, position: int | None = None, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message} {hint}")
        self.position = position
        self.hint = hint


class TraceError(GradcubeError):
    """A file that is not the recording that it was taken for, or a row of it that cannot be; says which."""

    exit_code = 2


class CheckFailed(GradcubeError):
    """A promise that was checked and did not hold, such as a reconciliation."""

    exit_code = 1


@contextmanager
def exit_on(*kinds: type[GradcubeError]) -> Iterator[None]:
    """Ends the process with the error's message on stderr and its exit code; every `__main__` uses it."""
    try:
        yield
    except kinds as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201 - the last word of a process
        raise SystemExit(error.exit_code) from error
