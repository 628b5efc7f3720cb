"""What is labelled in the public traces: slow workers, the 405B runs that are healthy, BLOOM's events, hang dumps."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gradcube.diagnosis import Finding
from gradcube.flight_recorder import diagnose_dumps
from tests.bench.diagnosis.comparators import SLOW_RULES
from tests.bench.diagnosis.families import SLOW_REPLICA_0_STAGE_0, WORKER_6, large_runs
from tests.bench.diagnosis.recordings import Recording, recorded
from tests.bench.diagnosis.slow import OURS, flagged
from tests.bench.diagnosis.watching import SLOW_KINDS, episodes_of, findings_of, named


@dataclass(frozen=True)
class Labelled:
    """One trace with a known owner; `others` are blamed healthy ranks by method, `owner` whether the owner was named.

    `magnitude` is gradcube's last word about the owner; `measured` the median of the owner's own time over its stage
    peers' in the steps of that episode, `measured_change` that over the same before the episode; `what_if_slowdown`
    what the trace's authors simulated for the whole job.
    """

    trace: str
    owner: dict[str, bool]
    others: dict[str, int]
    detected_step: int | None
    magnitude: float
    measured: float
    measured_change: float
    what_if_slowdown: float | None
    verdict: str


@dataclass
class LargeRuns:
    """Episodes on the healthy 405B runs."""

    runs: int = 0
    steps: int = 0
    episodes: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Hang:
    """One directory of dumps: who is known to be at fault, and who was named."""

    directory: str
    culprits: frozenset[int]
    named: frozenset[int]


def run_labelled(traces: Path) -> list[Labelled]:
    """The two traces with a slow worker."""
    truth = json.loads((traces / "truth.json").read_text())["bytedance_AR"]
    pipeline = recorded(traces / "bytedance_AR.parquet")
    workers = recorded(traces / "alibaba_job_1.parquet")
    return [
        _labelled(pipeline, SLOW_REPLICA_0_STAGE_0, truth["blocking_slowdown"]),
        _labelled(workers, WORKER_6, None),
    ]


def run_large(traces: Path) -> LargeRuns:
    """gradcube and the rules on every healthy 405B run."""
    result = LargeRuns()
    for run in large_runs(traces):
        result.runs += 1
        result.steps += run.num_steps
        opened = [first for first, _ in episodes_of(findings_of(run))]
        result.episodes[OURS] = result.episodes.get(OURS, 0) + len(opened)
        for finding in opened:
            result.kinds[finding.kind] = result.kinds.get(finding.kind, 0) + 1
        for name, rule in SLOW_RULES.items():
            result.episodes[name] = result.episodes.get(name, 0) + len(flagged(rule, run))
    return result


def run_bloom(traces: Path) -> dict[str, list[Finding]]:
    """What is said of BLOOM's two recorded events, which have next to no history: told, not judged."""
    names = ("bloom_spike", "bloom_slow_node")
    return {name: findings_of(recorded(traces / f"{name}.parquet")) for name in names}


def run_hangs(traces: Path) -> list[Hang]:
    """Every directory of dumps that truth.json knows."""
    truth = json.loads((traces / "truth.json").read_text())
    return [
        Hang(name, frozenset(known["fault_ranks"]), _ranks(diagnose_dumps(traces / name)))
        for name, known in truth.items()
        if "fault_ranks" in known
    ]


def _ranks(findings: list[Finding]) -> frozenset[int]:
    return frozenset(finding.subject.rank for finding in findings if finding.subject.rank is not None)


def _labelled(run: Recording, owner: int, what_if: float | None) -> Labelled:
    column = int(np.flatnonzero(run.rows.rank[: run.num_ranks] == owner)[0])
    episodes = episodes_of(findings_of(run), SLOW_KINDS)
    who = {OURS: [frozenset(np.flatnonzero(named(first.subject, run)).tolist()) for first, _ in episodes]}
    who |= {name: [claim.who for claim in flagged(rule, run)] for name, rule in SLOW_RULES.items()}
    own = [pair for pair, ranks in zip(episodes, who[OURS], strict=True) if ranks == {column}]
    first, last = own[0] if own else (None, None)
    measured, change = _measured(run, owner, last) if last else (float("nan"), float("nan"))
    return Labelled(
        trace=run.name,
        owner={name: {column} in ranks for name, ranks in who.items()},
        others={name: len(frozenset().union(*ranks) - {column}) for name, ranks in who.items()},
        detected_step=first.detected_step if first else None,
        magnitude=last.magnitude if last else float("nan"),
        measured=measured,
        measured_change=change,
        what_if_slowdown=what_if,
        verdict=last.verdict if last else "",
    )


def _measured(run: Recording, owner: int, episode: Finding) -> tuple[float, float]:
    """The ratio to the peers in the episode, and that over the ratio before it (NaN where there is no before)."""
    own, rank = run.own_seconds(), run.rows.rank[: run.num_ranks]
    at = np.flatnonzero(rank == owner)
    peers = (run.stage == run.stage[at]) & (rank != owner)
    ratio = own[:, at[0]] / np.median(own[:, peers], axis=1)
    before = run.steps < episode.onset_step
    inside = ~before & (run.steps <= (episode.end_step or run.steps[-1]))
    during = float(np.median(ratio[inside]))
    return during, during / float(np.median(ratio[before])) if before.any() else float("nan")
