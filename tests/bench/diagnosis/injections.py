"""Slow-downs that are put into a healthy run: whom, from when, how much, in what shape; drawn by seed."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from gradcube.windows.columns import FloatArray
from tests.bench.diagnosis.recordings import Recording

Level = Literal["rank", "ranks", "node", "stage", "job"]
Shape = Literal["step", "ramp", "flap", "burst"]
LEVELS: tuple[Level, ...] = ("rank", "ranks", "node", "stage", "job")
RATIOS = (1.03, 1.05, 1.10, 1.25, 1.6, 2.0)

RAMP_STEPS = 10
FLAP_SLOW_STEPS, FLAP_NORMAL_STEPS = 6, 4
HISTORY_STEPS = 25
"""Healthy steps before an onset, the warm-up among them: fewer tell nobody what is normal."""
LEFT_STEPS = 10
ENDS_AFTER_STEPS = 40


@dataclass(frozen=True)
class Injection:
    """`columns` are places in the grid, not rank numbers; `end` is exclusive."""

    level: Level
    columns: tuple[int, ...]
    shape: Shape
    ratio: float
    onset: int
    end: int

    @property
    def slow_share(self) -> float:
        """The share of the steps from onset to end that are slow."""
        return FLAP_SLOW_STEPS / (FLAP_SLOW_STEPS + FLAP_NORMAL_STEPS) if self.shape == "flap" else 1.0

    @property
    def counted_from(self) -> float:
        """The step from which delay counts: the onset, and half the way up of a ramp."""
        return self.onset + (RAMP_STEPS / 2 if self.shape == "ramp" else 0)


def factors(injection: Injection, steps: int) -> FloatArray:
    """By how much the injection lengthens each step's work, (steps,)."""
    at = np.arange(steps)
    since = at - injection.onset
    inside = (since >= 0) & (at < injection.end)
    grown = np.ones(steps)
    if injection.shape == "ramp":
        grown = np.clip((since + 1) / RAMP_STEPS, 0, 1)
    if injection.shape == "flap":
        grown = (since % (FLAP_SLOW_STEPS + FLAP_NORMAL_STEPS) < FLAP_SLOW_STEPS).astype(np.float64)
    return np.where(inside, 1 + (injection.ratio - 1) * grown, 1.0)


def inject(recording: Recording, injection: Injection) -> Recording:
    """The run with the slow-down: the culprits' own work takes longer; where ranks wait, so does everyone's step."""
    factor = np.ones((recording.num_steps, recording.num_ranks))
    factor[:, injection.columns] = factors(injection, recording.num_steps)[:, None]
    values = {name: recording.grid(name) * factor for name in recording.own_phases()}
    if "step_seconds" in values:
        return recording.changed(values)
    before, after = recording.own_seconds(), np.sum(list(values.values()), axis=0)
    longer = (after.max(axis=1) - before.max(axis=1))[:, None]
    for name, extra in (("step_seconds", longer), ("sync_wait_seconds", longer - (after - before))):
        if recording.measured(name):
            values[name] = recording.grid(name) + extra
    return recording.changed(values)


def draw(recording: Recording, level: Level, shape: Shape, ratio: float, rng: np.random.Generator) -> Injection:
    """Someone of that level and an onset that leaves history before it and steps after it."""
    columns = choose(recording, level, rng)
    last = max(HISTORY_STEPS + 1, min(recording.num_steps - LEFT_STEPS, int(recording.num_steps * 0.7)))
    onset = int(rng.integers(HISTORY_STEPS, last))
    end = recording.num_steps
    if shape == "burst":
        end = onset + int(rng.integers(1, 4))
    elif end - onset > 2 * ENDS_AFTER_STEPS and rng.random() < 0.5:
        end = onset + (end - onset) // 2
    return Injection(level, columns, shape, ratio, onset, end)


def levels_of(recording: Recording) -> tuple[Level, ...]:
    """The levels that the run has: one stage is the whole job, and a lone rank too."""
    if recording.num_ranks == 1:
        return ("job",)
    staged = len(np.unique(recording.stage)) > 1
    has_nodes = bool(_nodes(recording))
    return tuple(x for x in LEVELS if (x != "stage" or staged) and (x != "node" or has_nodes))


def choose(recording: Recording, level: Level, rng: np.random.Generator) -> tuple[int, ...]:
    """The culprits' columns. Several ranks are of different stages, or a small share of the one that there is."""
    everyone = np.arange(recording.num_ranks)
    stages = np.unique(recording.stage)
    if level == "job":
        return tuple(everyone.tolist())
    if level == "stage":
        return tuple(np.flatnonzero(recording.stage == rng.choice(stages)).tolist())
    if level == "node":
        nodes = _nodes(recording)
        return nodes[int(rng.integers(len(nodes)))]
    if level == "rank":
        return (int(rng.choice(everyone)),)
    if len(stages) == 1:
        return tuple(sorted(rng.choice(everyone, max(2, len(everyone) // 8), replace=False).tolist()))
    picked = rng.choice(stages, 2 + int(len(stages) > 3), replace=False)
    return tuple(sorted(int(rng.choice(np.flatnonzero(recording.stage == own))) for own in picked))


def _nodes(recording: Recording) -> list[tuple[int, ...]]:
    """The nodes of at least two ranks that are at most half of any stage: of more, nobody could say who is slow."""
    node, found = recording.rows.node[: recording.num_ranks], []
    for name in dict.fromkeys(node.tolist()):
        own = np.flatnonzero(node == name)
        halves = all(
            2 * np.sum(recording.stage[own] == s) <= np.sum(recording.stage == s) for s in recording.stage[own]
        )
        if name and len(own) > 1 and halves:
            found.append(tuple(own.tolist()))
    return found
