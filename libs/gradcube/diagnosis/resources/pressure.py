"""The detector of throttled devices and of resources near their limit, from resource samples.

Samples in the order in which they were read come in; an episode that opens or is over goes out as a finding.
"""

from collections.abc import Sequence

import numpy as np

from gradcube.diagnosis.detector import Detector
from gradcube.diagnosis.episodes import Episodes, Moment, Sight, named
from gradcube.diagnosis.findings import Evidence, Finding, Subject
from gradcube.diagnosis.frames import StepFrame
from gradcube.diagnosis.resources.device_samples import MICROS, DeviceSamples, PressureSettings, outside
from gradcube.windows.columns import BoolArray, IntArray
from gradcube.windows.rows import ResourceRows

THROTTLING, PRESSURE = "THROTTLING", "RESOURCE_PRESSURE"
CAUSES = {
    "slowed_by_hardware": (
        THROTTLING,
        "bits",
        "is slowed down by its own protection (reasons {value:#x})",
        "its cooling and power",
    ),
    "clock_below_peers": (
        THROTTLING,
        "ratio",
        "runs at {value:.0%} of its peers' clock",
        "its power limit and cooling",
    ),
    "cpu_limited": (
        THROTTLING,
        "seconds per second",
        "is kept from the CPU {value:.0%} of the time",
        "its cgroup's cpu.max",
    ),
    "hot": (PRESSURE, "celsius", "is at {value:.0f} degrees", "its cooling before it slows down"),
    "memory_near_limit": (PRESSURE, "ratio", "has used {value:.0%} of its memory", "what grows, before it is killed"),
}
"""By name: kind, unit, what it does, what to look at. Causes and limits are explained in `device_samples`."""


class PressureDetector(Detector):
    """Devices, processes and hosts beyond a limit in `min_samples` samples in a row, which come once a second.

    An episode belongs to a kind and to a rank, or to a node where samples belong to none; it ends `calm_seconds` after
    the last bad sample. Limits are physical or set by an operator, so there is no noise to learn; the exception is a
    clock against its peers' at that time, which assumes that the job's GPUs are of one model. Samples are not bound to
    steps: onset and detection are told at the latest step, and by the samples' own time. Says nothing before the first
    step. 4 ms for one sample of each of 8 192 devices.
    """

    name = "pressure"
    kinds = frozenset({THROTTLING, PRESSURE})
    Settings = PressureSettings
    settings: PressureSettings

    def __init__(self, settings: PressureSettings | None = None) -> None:
        super().__init__(settings)
        self._episodes = Episodes()
        self._devices = DeviceSamples()
        self._runs = {cause: np.empty(0, np.int64) for cause in CAUSES}
        self._last_bad: dict[tuple[str, Subject], int] = {}
        self._moment: Moment | None = None

    def restore(self, findings: Sequence[Finding]) -> None:
        """Open episodes go on."""
        self._episodes.restore(findings)

    def observe(self, frame: StepFrame) -> list[Finding]:
        """Where the job stands; a step itself shows nothing here."""
        self._moment = Moment.of(frame)
        return []

    def observe_resources(self, rows: ResourceRows) -> list[Finding]:
        """What the samples show; see `Detector`."""
        findings: list[Finding] = []
        at = self._devices.places(rows)
        order = np.argsort(rows.ended_at_micros, kind="stable")
        while len(order):
            first = np.sort(np.unique(at[order], return_index=True)[1])
            findings += self._observe_once(rows.take(order[first]), at[order[first]])
            order = np.delete(order, first)
        return findings

    def _observe_once(self, rows: ResourceRows, at: IntArray) -> list[Finding]:
        values = self._devices.values(rows, at)
        findings: list[Finding] = []
        if self._moment is None or not len(rows):
            return findings
        for cause, bad in outside(values, self.settings).items():
            for row in self._sustained(cause, at, bad).tolist():
                findings += self._tell(self._moment, rows, row, cause, float(values[cause][row]))
        return findings + self._close_calm(self._moment, int(rows.ended_at_micros.max()))

    def _sustained(self, cause: str, at: IntArray, bad: BoolArray) -> IntArray:
        """The rows that are the last of enough bad ones in a row."""
        runs = np.pad(self._runs[cause], (0, max(0, int(at.max()) + 1 - len(self._runs[cause]))))
        runs[at] = np.where(bad, runs[at] + 1, 0)
        self._runs[cause] = runs
        return np.flatnonzero(runs[at] >= self.settings.min_samples)

    def _tell(self, moment: Moment, rows: ResourceRows, row: int, cause: str, value: float) -> list[Finding]:
        kind, unit, what, look = CAUSES[cause]
        node, rank, device = str(rows.node[row]) or None, int(rows.rank[row]), str(rows.device[row])
        subject = Subject(rank=rank if rank >= 0 else None, node=node)
        micros = int(rows.ended_at_micros[row])
        self._last_bad[kind, subject] = micros
        now = Moment(moment.job, moment.attempt, moment.step, micros)
        said = what.format(value=int(value) if unit == "bits" else value)
        sight = Sight(
            f"{device} of {named(subject)} {said}: check {look}", value, 0.9, (Evidence(cause, value, None, unit),)
        )
        if self._episodes.get(kind, subject) is not None:
            return self._episodes.update(now, kind, subject, sight)
        onset = Moment(now.job, now.attempt, now.step, micros - (self.settings.min_samples - 1) * MICROS)
        return self._episodes.open(now, onset, kind, subject, sight)

    def _close_calm(self, moment: Moment, micros: int) -> list[Finding]:
        findings: list[Finding] = []
        for kind in sorted(self.kinds):
            for subject in self._episodes.subjects(kind):
                opened = self._episodes.get(kind, subject)
                assert opened is not None
                last_bad = self._last_bad.setdefault((kind, subject), opened.detected_at_micros)
                if micros - last_bad >= self.settings.calm_seconds * MICROS:
                    del self._last_bad[kind, subject]
                    seconds = (last_bad - opened.onset_at_micros) / MICROS
                    verdict = f"{named(subject)} is within its limits again, after {seconds:.0f} s"
                    findings += self._episodes.close(moment.step, kind, subject, verdict, opened.magnitude)
        return findings
