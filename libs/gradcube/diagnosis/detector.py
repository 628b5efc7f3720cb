"""What a detector is: a pure class that is told what happened, in order, and answers with findings.

A detector of one's own derives from `Detector`, overrides the methods for what it wants to hear of, and is named in
the entry-point group `gradcube.detectors` (see CONTRIBUTING.md).
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from gradcube.diagnosis.findings import Finding
from gradcube.diagnosis.frames import StepFrame, Waiting
from gradcube.windows.rows import ResourceRows, ServerRows


class Detector:
    """One way of finding something in one attempt of a job.

    It never sees what is to come: step n after step n - 1, each once. It does no I/O and asks no clock. A finding's
    `kind` is one of `kinds`. `Settings` is a frozen dataclass of its thresholds, with a default for each; they arrive
    in the constructor, and later through `configure`.
    """

    name: ClassVar[str]
    kinds: ClassVar[frozenset[str]]
    Settings: ClassVar[type[Any]]

    def __init__(self, settings: Any = None) -> None:
        self.settings = self.Settings() if settings is None else settings

    def configure(self, settings: Any) -> None:
        """Other thresholds from the next step on; open episodes go on."""
        self.settings = settings

    def is_own(self, finding: Finding) -> bool:
        """Whether an earlier process of this detector said it; where two share a kind, their subjects differ."""
        return finding.kind in self.kinds

    def observe(self, frame: StepFrame) -> list[Finding]:  # noqa: ARG002 - a detector overrides what it wants
        """What a step shows: episodes that it opens, updates or closes."""
        return []

    def observe_resources(self, rows: ResourceRows) -> list[Finding]:  # noqa: ARG002
        """What resource samples show; in the order in which they were read, not bound to any step."""
        return []

    def observe_servers(self, rows: ServerRows) -> list[Finding]:  # noqa: ARG002
        """What versions that parameter servers applied show; in the order in which they were read."""
        return []

    def observe_lifecycle(self, event: Mapping[str, Any]) -> list[Finding]:  # noqa: ARG002
        """What a Lifecycle record of this attempt shows."""
        return []

    def pass_time(self, now_micros: int, waiting: Waiting) -> list[Finding]:  # noqa: ARG002
        """What it means that the oldest step is not complete at `now_micros` (event time, never backwards)."""
        return []

    def restore(self, findings: Sequence[Finding]) -> None:
        """Goes on with the episodes that an earlier process reported (the last finding of each, closed ones too);

        called before the first step.
        """
