"""Thresholds of running jobs, from gradcube.control: every command leaves a line in the log, done or refused."""

from typing import Any

import structlog

from gradcube.diagnosis.commands import Thresholds
from gradcube.diagnosis.detector import Detector

CONTROL = "gradcube.control"

log = structlog.get_logger(__name__)


class Controls:
    """What operators have set; the topic is read from its beginning at each start, so it survives restarts."""

    def __init__(self, known: tuple[type[Detector], ...]) -> None:
        self.known = known
        self._thresholds = Thresholds(known)

    def of(self, job: str) -> dict[str, str]:
        """The thresholds of a job that are not the default."""
        return self._thresholds.of(job)

    def learn(self, command: dict[str, Any]) -> None:
        """Takes one Command record in; those that are not about thresholds are the coordinator's."""
        entry = self._thresholds.take(command)
        if entry is None:
            return
        about = {"job": entry.job, "by": entry.by, "at_micros": entry.at_micros, "arguments": entry.arguments}
        if entry.refused:
            log.warning("thresholds refused", id=command["id"], reason=entry.refused, **about)
        else:
            log.info("thresholds set", id=command["id"], in_force=self.of(entry.job), **about)

    def status(self) -> dict[str, Any]:
        """What is in force by job, and the last commands with what became of them."""
        return {
            "thresholds": {job: dict(own) for job, own in self._thresholds.jobs.items() if own},
            "commands": [vars(entry) for entry in list(self._thresholds.entries)],
        }
