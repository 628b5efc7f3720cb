"""Runs the slow-downs: every level, shape and size on every family, gradcube and the published rules alike."""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter

import numpy as np

from tests.bench.diagnosis.comparators import SLOW_RULES, SlowRule
from tests.bench.diagnosis.families import Family
from tests.bench.diagnosis.injections import RATIOS, Injection, Level, Shape, draw, inject, levels_of
from tests.bench.diagnosis.judge import Claim, Outcome, judge
from tests.bench.diagnosis.noise import SKIPPED_STEPS, Floors, allowed, floors, least_delay
from tests.bench.diagnosis.recordings import Recording
from tests.bench.diagnosis.watching import claims_of, findings_of, flagged_claims

OURS = "gradcube"
BURST_RATIOS = (1.10, 1.6, 2.0)
SHAPES: tuple[Shape, ...] = ("step", "ramp", "flap", "burst")
QUICK_SHAPES: tuple[Shape, ...] = ("step", "burst")
QUICK_RATIOS = (1.05, 1.10, 1.6)

Teller = Callable[[Recording], list[Claim]]


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
    floors: list[Floors]
    cases: list[Case] = field(default_factory=list)
    healthy_claims: dict[str, int] = field(default_factory=dict)
    healthy_steps: int = 0
    milliseconds_per_step: dict[str, float] = field(default_factory=dict)


def run_family(family: Family, seed: int, quick: bool) -> FamilyRun:
    """All cases of a family; the same for the same seed, whatever else is run."""
    noise = [floors(recording) for recording in family.recordings]
    tellers = _tellers()
    result = FamilyRun(family.name, noise, healthy_steps=sum(recording.num_steps for recording in family.recordings))
    for name, tell in tellers.items():
        started = perf_counter()
        result.healthy_claims[name] = sum(len(tell(recording)) for recording in family.recordings)
        result.milliseconds_per_step[name] = (perf_counter() - started) / result.healthy_steps * 1000
    for at, injection in drawn(family, seed, quick):
        result.cases.append(_case(family.name, family.recordings[at], noise[at], injection, tellers))
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


def _case(family: str, recording: Recording, noise: Floors, injection: Injection, tellers: dict[str, Teller]) -> Case:
    slowed = inject(recording, injection)
    floor = noise.of(injection.level)
    outcomes = {
        name: judge(tell(slowed), injection, recording.num_steps, recording.num_ranks) for name, tell in tellers.items()
    }
    return Case(family, injection, allowed(injection, floor), least_delay(floor, injection.ratio), outcomes)


def _tellers() -> dict[str, Teller]:
    tellers: dict[str, Teller] = {OURS: lambda recording: claims_of(findings_of(recording), recording)}
    for name, rule in SLOW_RULES.items():
        tellers[name] = partial(flagged, rule)
    return tellers


def flagged(rule: SlowRule, recording: Recording) -> list[Claim]:
    """A rule's claims; it does not see the first steps, which are slow in every run and would spoil its means."""
    flags = np.zeros((recording.num_steps, recording.num_ranks), bool)
    flags[SKIPPED_STEPS:] = rule(recording.between(SKIPPED_STEPS, recording.num_steps))
    return list(flagged_claims(flags))
