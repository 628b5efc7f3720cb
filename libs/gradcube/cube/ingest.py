"""What reading a topic into the store is told, and what it tells."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class IngestSettings:
    """`reserve_bytes` stay free on the disk of `directory` (None: not looked at); batches are `max_records` long.

    A batch waits `linger_seconds` for more records: so long a row may take until it can be asked for. A changed cube is
    switched to its new version also when that has no history, which its topic no longer has, if `forget_history`.
    """

    directory: Path | None = None
    reserve_bytes: int = 64 * 2**20
    max_records: int = 50_000
    retry_seconds: float = 1.0
    linger_seconds: float = 0.5
    forget_history: bool = False


@dataclass(frozen=True)
class IngestState:
    """`reason` says why nothing is being read, None while all is well. `lag`: records not yet read, None: unknown."""

    reason: str | None = "not connected to Kafka yet"
    lag: int | None = None
