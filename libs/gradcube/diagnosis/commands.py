"""Thresholds that operators set on running jobs: Commands with the action `set` come in, what is in force goes out."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gradcube.diagnosis import catalog
from gradcube.diagnosis.detector import Detector
from gradcube.errors import ConfigError

ACTION = "set"
KEPT_ENTRIES = 100


@dataclass(frozen=True)
class Entry:
    """One command and what became of it: `refused` is '' or the reason why nothing was changed."""

    job: str
    at_micros: int
    by: str
    arguments: dict[str, str]
    refused: str


@dataclass
class Thresholds:
    """What is in force for each job, and the last commands; the last command wins, and a refused one changes nothing.

    >>> thresholds = Thresholds()
    >>> command = {"job": "bert", "at": 0, "by": "me", "action": "set", "arguments": {"hang.factor": "20"}}
    >>> thresholds.take(command).refused
    ''
    >>> thresholds.of("bert")
    {'hang.factor': '20'}
    """

    known: tuple[type[Detector], ...] = catalog.DETECTORS
    jobs: dict[str, dict[str, str]] = field(default_factory=dict)
    entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=KEPT_ENTRIES))

    def of(self, job: str) -> dict[str, str]:
        """The thresholds of a job that are not the default."""
        return self.jobs.get(job, {})

    def take(self, command: Mapping[str, Any]) -> Entry | None:
        """Carries a Command record out; None for one that is not about thresholds."""
        if command["action"] != ACTION:
            return None
        job, arguments, refused = command["job"], dict(command["arguments"]), ""
        try:
            changed = self.changed(job, arguments)
        except ConfigError as error:
            refused = str(error)
        else:
            self.jobs[job] = changed
        self.entries.append(Entry(job, command["at"], command["by"], arguments, refused))
        return self.entries[-1]

    def changed(self, job: str, arguments: Mapping[str, str]) -> dict[str, str]:
        """What would be in force after these arguments. Raises ConfigError for one that is wrong, or for none."""
        if not arguments:
            raise ConfigError("no threshold is named; write detector.threshold=value")
        catalog.parse(arguments, self.known)
        merged = {**self.of(job), **arguments}
        return {name: value for name, value in merged.items() if value != catalog.DEFAULT}
