"""The detector of a shard of the parameters whose server takes longer to apply an update than it used to.

Rows of applied versions come in; an episode that opens, goes on or is over goes out as a finding.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gradcube.diagnosis.detector import Detector
from gradcube.diagnosis.episodes import Episodes, Moment, Sight
from gradcube.diagnosis.findings import Evidence, Finding, Subject
from gradcube.diagnosis.frames import StepFrame
from gradcube.windows.rows import SERVER_FLOATS, ServerRows

KIND = "FAIL_SLOW"
KEPT_VERSIONS = 128
SIGNAL = "apply_seconds"
APPLY, PUSHES = SERVER_FLOATS.index(SIGNAL), SERVER_FLOATS.index("pushes")


@dataclass(frozen=True)
class SlowShardSettings:
    """How much slower, at what cost to a step, for how long. Defaults: see `SlowShardDetector`."""

    warmup_versions: int = 5
    baseline_versions: int = 16
    min_ratio: float = 1.5
    min_step_share: float = 0.03
    run_versions: int = 5
    calm_versions: int = 10


@dataclass
class _Shard:
    """What is known of one: usual times, the current run of slow versions, and how long it has been well."""

    node: str = ""
    seen: int = 0
    usual: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_VERSIONS))
    run: list[tuple[Moment, float]] = field(default_factory=list)
    last_bad: Moment | None = None
    calm: int = 0
    last_seconds: float = float("nan")


class SlowShardDetector(Detector):
    """The time from a version's last push until it is applied, against the same shard's last 128 healthy versions.

    Open after `run_versions` in a row at `min_ratio` of the usual median that cost at least `min_step_share` of the
    job's step more, the straggler detector's least slow-down worth a sentence; so a shard that takes 2 ms in place of 1
    is nobody's concern. Over after `calm_versions`. It assumes that a shard is healthy in its first versions, of which
    `warmup_versions` are left out; one that has been slower than the others from its start is as it is. An update
    without pushes tells nothing. Versions are not bound to steps: onset and detection are told at the latest step of
    the workers. Which worker's way to the server is slow, the straggler detector tells. 20 us a version.
    """

    name = "slow_shard"
    kinds = frozenset({KIND})
    Settings = SlowShardSettings
    settings: SlowShardSettings

    def __init__(self, settings: SlowShardSettings | None = None) -> None:
        super().__init__(settings)
        self._episodes = Episodes()
        self._shards: dict[int, _Shard] = {}
        self._moment: Moment | None = None
        self._step_seconds = float("nan")

    def is_own(self, finding: Finding) -> bool:
        """Whether it is about a shard."""
        return super().is_own(finding) and finding.subject.shard is not None

    def restore(self, findings: Sequence[Finding]) -> None:
        """An open episode goes on, against the usual time that it was opened at."""
        self._episodes.restore(findings)
        for subject in self._episodes.subjects(KIND):
            opened = self._episodes.get(KIND, subject)
            assert opened is not None
            assert subject.shard is not None
            if opened.evidence[0].peers is not None:
                shard = self._shards.setdefault(subject.shard, _Shard(node=subject.node or ""))
                shard.usual.extend([opened.evidence[0].peers] * self.settings.baseline_versions)
                shard.seen = self.settings.warmup_versions

    def observe(self, frame: StepFrame) -> list[Finding]:
        """Where the job stands, and how long a step takes; a step itself shows nothing here."""
        self._moment = Moment.of(frame)
        self._step_seconds = frame.median("step_seconds")
        return []

    def observe_servers(self, rows: ServerRows) -> list[Finding]:
        """What the versions show; see `Detector`."""
        findings: list[Finding] = []
        for at in np.lexsort((rows.version, rows.shard)).tolist():
            seconds = float(rows.floats[at, APPLY])
            if self._moment is not None and np.isfinite(seconds) and rows.floats[at, PUSHES] > 0:
                moment = replace(self._moment, at_micros=int(rows.ended_at_micros[at]))
                findings += self._judge(moment, int(rows.shard[at]), str(rows.node[at]), seconds)
        return findings

    def _judge(self, moment: Moment, number: int, node: str, seconds: float) -> list[Finding]:
        shard = self._shards.setdefault(number, _Shard())
        shard.node, shard.last_seconds = node, seconds
        shard.seen += 1
        if shard.seen <= self.settings.warmup_versions:
            return []
        if len(shard.usual) < self.settings.baseline_versions:
            shard.usual.append(seconds)
            return []
        subject, usual = Subject(shard=number, node=node or None), float(np.median(shard.usual))
        if self._is_slow(seconds, usual):
            return self._slow(moment, shard, subject, seconds, usual)
        return self._well(shard, subject, seconds)

    def _is_slow(self, seconds: float, usual: float) -> bool:
        # A step whose time nobody measured does not excuse the shard.
        costs = not (seconds - usual) < self.settings.min_step_share * self._step_seconds
        return seconds >= self.settings.min_ratio * usual and costs

    def _slow(self, moment: Moment, shard: _Shard, subject: Subject, seconds: float, usual: float) -> list[Finding]:
        shard.run = [*shard.run, (moment, seconds)][-KEPT_VERSIONS:]
        shard.last_bad, shard.calm = moment, 0
        if len(shard.run) < self.settings.run_versions:
            return []
        now = float(np.median([slow for _, slow in shard.run]))
        others = [each.last_seconds for each in self._shards.values() if each is not shard]
        sight = _sight(subject, now, usual, others, self._step_seconds)
        if self._episodes.get(KIND, subject) is not None:
            return self._episodes.update(moment, KIND, subject, sight)
        return self._episodes.open(moment, shard.run[0][0], KIND, subject, sight)

    def _well(self, shard: _Shard, subject: Subject, seconds: float) -> list[Finding]:
        shard.run = []
        shard.calm += 1
        shard.usual.append(seconds)
        opened = self._episodes.get(KIND, subject)
        if opened is None or shard.calm < self.settings.calm_versions:
            return []
        end = shard.last_bad.step if shard.last_bad is not None else opened.detected_step
        verdict = f"shard {subject.shard} applies updates as fast as before again ({seconds * 1000:.3g} ms)"
        return self._episodes.close(end, KIND, subject, verdict, opened.magnitude)


def _sight(subject: Subject, now: float, usual: float, others: list[float], step_seconds: float) -> Sight:
    peers = float(np.median(others)) if others else None
    beside = "" if peers is None else f", other shards {peers * 1000:.3g} ms"
    cost = f"; it costs {(now - usual) / step_seconds:.0%} of a step" if step_seconds > 0 else ""
    where = f" on {subject.node}" if subject.node else ""
    verdict = (
        f"the parameter server of shard {subject.shard}{where} takes {now / usual:.1f}x as long to apply an update as "
        f"before ({now * 1000:.3g} ms, {usual * 1000:.3g} ms before{beside}){cost}: check its CPU limits, its memory "
        "and what else runs there"
    )
    evidence = [Evidence(SIGNAL, now, usual, "seconds")]
    if peers is not None:
        evidence.append(Evidence("apply_seconds_of_other_shards", peers, None, "seconds"))
    return Sight(verdict, now / usual, 0.9, tuple(evidence))
