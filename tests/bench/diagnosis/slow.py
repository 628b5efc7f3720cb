"""Runs the slow-downs: every level, shape and size on every family, gradcube and the published rules alike."""

import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from tests.bench.diagnosis.comparators import SLOW_RULES, SlowRule
from tests.bench.diagnosis.families import Family
from tests.bench.diagnosis.injections import RATIOS, Injection, Level, Shape, draw, inject, levels_of
from tests.bench.diagnosis.judge import Claim, Outcome, judge
from tests.bench.diagnosis.noise import SKIPPED_STEPS, Floors, allowed, floors, least_delay
from tests.bench.diagnosis.recordings import Recording
from tests.bench.diagnosis.watching import SLOW_KINDS, claims_of, episodes_of, findings_of, flagged_claims

OURS = "gradcube"
BURST_RATIOS = (1.10, 1.6, 2.0)
SHAPES: tuple[Shape, ...] = ("step", "ramp", "flap", "burst")
QUICK_SHAPES: tuple[Shape, ...] = ("step", "burst")
QUICK_RATIOS = (1.05, 1.10, 1.6)


@dataclass(frozen=True)
class Case:
    """One injection and what each method made of it; `allowed` and `least_delay_steps` are the noise's alone."""

    family: str
    injection: Injection
    allowed: bool
    least_delay_steps: float
    outcomes: dict[str, Outcome]


@dataclass
class FamilyRun:
    """A family's cases, its noise, and the claims of each method on the healthy runs themselves."""

    family: str
    is_real: bool
    floors: list[Floors]
    cases: list[Case] = field(default_factory=list)
    healthy_claims: Counter[str] = field(default_factory=Counter)
    healthy_steps: int = 0
    other_kinds: Counter[str] = field(default_factory=Counter)
    """Episodes, in all cases, of kinds that have nothing to do with slowness."""
    seconds: float = 0.0
    milliseconds_per_step: float = 0.0


def run_family(family: Family, seed: int, quick: bool) -> FamilyRun:
    """All cases of a family; the same for the same seed, whatever else is run."""
    result = FamilyRun(family.name, family.is_real, [floors(recording) for recording in family.recordings])
    for recording in family.recordings:
        result.healthy_steps += recording.num_steps
        result.healthy_claims.update({name: len(claims) for name, claims in _claims(recording, result).items()})
    result.milliseconds_per_step = result.seconds / result.healthy_steps * 1000
    for at, injection in drawn(family, seed, quick):
        result.cases.append(_case(result, family.recordings[at], result.floors[at], injection))
    return result


def drawn(family: Family, seed: int, quick: bool) -> Iterator[tuple[int, Injection]]:
    """Each injection, and the place of the recording that it is put into."""
    for number, (level, shape, ratio, repeat) in enumerate(_plan(family, quick)):
        at = number % len(family.recordings)
        key = f"{family.name}/{level}/{shape}/{ratio}/{repeat}"
        rng = np.random.default_rng((seed, zlib.crc32(key.encode())))
        yield at, draw(family.recordings[at], level, shape, ratio, rng)


def _plan(family: Family, quick: bool) -> Iterator[tuple[Level, Shape, float, int]]:
    repeats = 1 if quick else family.repeats
    for level in levels_of(family.recordings[0]):
        for shape in QUICK_SHAPES if quick else SHAPES:
            ratios = BURST_RATIOS if shape == "burst" else RATIOS
            for ratio in [r for r in ratios if not quick or r in QUICK_RATIOS]:
                for repeat in range(repeats):
                    yield level, shape, ratio, repeat


def _case(result: FamilyRun, recording: Recording, noise: Floors, injection: Injection) -> Case:
    slowed = inject(recording, injection)
    floor = noise.of(injection.level)
    size = recording.num_steps, recording.num_ranks
    outcomes = {name: judge(claims, injection, *size) for name, claims in _claims(slowed, result).items()}
    return Case(result.family, injection, allowed(injection, floor), least_delay(floor, injection.ratio), outcomes)


def _claims(recording: Recording, result: FamilyRun) -> dict[str, list[Claim]]:
    """What each method says of a recording; counts the time that gradcube took, and its alarms of other kinds."""
    started = perf_counter()
    findings = findings_of(recording)
    result.seconds += perf_counter() - started
    kinds = [first.kind for first, _ in episodes_of(findings)]
    result.other_kinds.update(kind for kind in kinds if kind not in SLOW_KINDS)
    return {OURS: claims_of(findings, recording)} | {
        name: flagged(rule, recording) for name, rule in SLOW_RULES.items()
    }


def flagged(rule: SlowRule, recording: Recording) -> list[Claim]:
    """A rule's claims; it does not see the first steps, which are slow in every run and would spoil its means."""
    flags = np.zeros((recording.num_steps, recording.num_ranks), bool)
    flags[SKIPPED_STEPS:] = rule(recording.between(SKIPPED_STEPS, recording.num_steps))
    return list(flagged_claims(flags))
