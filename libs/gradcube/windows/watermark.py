"""How far event time has come: per partition the latest event less a grace, over partitions the least.

Event times and the reader's clock come in as arguments; one number goes out, which never goes back.
"""

from dataclasses import dataclass

MICROS = 1_000_000


@dataclass
class _Partition:
    event_micros: int
    seen_at_micros: int


class Watermarks:
    """The watermark of one job, fed by any number of partitions.

        marks = Watermarks(grace_seconds=5, idle_seconds=10)
        marks.observe(("gradcube.steps", 3), max_event_micros=added.max_event_micros, now_micros=now)
        windows.close(marks.watermark(now))

    A partition that has been silent for `idle_seconds` holds nobody up. When all are silent, the watermark
    goes on by the reader's clock, so that the last windows of a run close; a backlog is not silence.
    """

    def __init__(self, grace_seconds: float = 5, idle_seconds: float = 10) -> None:
        if grace_seconds < 0 or idle_seconds <= 0:
            raise ValueError(f"grace_seconds {grace_seconds} must be >= 0, idle_seconds {idle_seconds} > 0")
        self._grace_micros = round(grace_seconds * MICROS)
        self._idle_micros = round(idle_seconds * MICROS)
        self._partitions: dict[tuple[str, int], _Partition] = {}
        self._watermark = 0

    def observe(self, partition: tuple[str, int], max_event_micros: int, now_micros: int) -> None:
        """Takes note of the latest event of a batch; an older one than before only says "still alive"."""
        entry = self._partitions.setdefault(partition, _Partition(max_event_micros, now_micros))
        entry.event_micros = max(entry.event_micros, max_event_micros)
        entry.seen_at_micros = max(entry.seen_at_micros, now_micros)

    def watermark(self, now_micros: int) -> int:
        """Event time, in micros, before which nothing more is expected; 0 before anything was seen."""
        if self._partitions:
            self._watermark = max(self._watermark, self._reached(now_micros))
        return self._watermark

    def forget(self, partition: tuple[str, int]) -> None:
        """Drops a partition that another process reads now."""
        self._partitions.pop(partition, None)

    def _reached(self, now_micros: int) -> int:
        awake = [p for p in self._partitions.values() if now_micros - p.seen_at_micros < self._idle_micros]
        if awake:
            return min(partition.event_micros for partition in awake) - self._grace_micros
        # All silent: what the latest event was, plus the time since the silence began to count.
        latest = max(self._partitions.values(), key=lambda partition: partition.event_micros)
        silence = now_micros - max(p.seen_at_micros for p in self._partitions.values())
        return latest.event_micros - self._grace_micros + silence
