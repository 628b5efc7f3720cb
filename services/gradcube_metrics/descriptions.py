"""What each job is and what happened to it, from gradcube.lifecycle."""

from collections import deque
from collections.abc import Mapping
from typing import Any

from gradcube.windows import Clipping, JobDescription

LIFECYCLE = "gradcube.lifecycle"
KEPT_EVENTS = 20_000
"""Of each job: two attempts of 8 192 ranks that join, and something to spare."""

KEPT_ATTEMPTS = 3
"""Of each job's clipping: of older attempts no step records come any more."""

Event = Mapping[str, Any]


class Descriptions:
    """Job descriptions and lifecycle records, kept up to date by `learn`."""

    def __init__(self) -> None:
        self._jobs: dict[str, JobDescription] = {}
        self._clipping: dict[str, dict[int, Clipping]] = {}
        self._events: dict[str, deque[tuple[int, Event]]] = {}
        self._learnt = 0

    def of(self, job: str) -> JobDescription:
        """The description, empty for a job that never was announced."""
        return self._jobs.get(job) or JobDescription(job)

    def clipping(self, job: str) -> Mapping[int, Clipping]:
        """By attempt, of those that are known to clip their gradients."""
        return self._clipping.get(job, {})

    def events_after(self, job: str, number: int) -> list[tuple[int, Event]]:
        """The job's lifecycle records numbered above `number`, oldest first, each with its number; 0 gives all."""
        known = self._events.get(job)
        if not known or known[-1][0] <= number:
            return []
        return [entry for entry in known if entry[0] > number]

    def learn(self, event: dict[str, Any]) -> None:
        """Takes one Lifecycle record in."""
        job = event["job"]
        self._learnt += 1
        self._events.setdefault(job, deque(maxlen=KEPT_EVENTS)).append((self._learnt, event))
        described = event["model"], event["model_parameters"], event["hardware"], event["dataset"]
        if any(described):  # a monitor's record, or one of a shard that came first, knows nothing of it
            self._jobs[job] = JobDescription(job, *described)
        if event["grad_clip_norm"] is not None or event["own_grad_clip_norm"] is not None:
            known = self._clipping.get(job, {})
            known = known | {event["attempt"]: Clipping(event["grad_clip_norm"], event["own_grad_clip_norm"])}
            self._clipping[job] = {attempt: known[attempt] for attempt in sorted(known)[-KEPT_ATTEMPTS:]}
