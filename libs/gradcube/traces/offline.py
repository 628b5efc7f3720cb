"""The diagnosis of a recorded run, without a broker: a Trace in, findings out, as a live run would have raised them."""

from collections.abc import Callable, Iterator, Mapping

from gradcube.diagnosis import Detector, Diagnosis, Finding, catalog, word_of
from gradcube.diagnosis.medians import median_micros
from gradcube.traces.reader import Trace
from gradcube.windows.settings import MICROS

SILENCE_MICROS = 45 * MICROS
"""A live run's watermark goes on by the clock when everybody has been silent for so long (diagnosis_idle_seconds)."""
SILENCE_GROWTH = 1.1
"""Looks at a silence come 10 % apart, so that an hour of it costs 60."""
AFTERWARDS_MICROS = 86_400 * MICROS
"""For so long nothing came after the end; what a detector waits for it waits less for."""


def findings_of(
    trace: Trace,
    thresholds: Mapping[str, str] | None = None,
    *,
    known: tuple[type[Detector], ...] = catalog.DETECTORS,
    told: Callable[[int], None] = lambda _: None,
) -> Iterator[Finding]:
    """The findings of each attempt, in order. Detectors see step n only after step n - 1, and nothing of n + 1.

    Every record of a step is there when the step is looked at, so that no batch, partition or grace has a say.
    `told` hears how many rows each step had. Raises ConfigError for a threshold that no detector has.
    """
    catalog.parse(thresholds or {}, known)
    said: set[tuple[str, str, float]] = set()
    for finding in _raised(trace, thresholds or {}, known, told):
        # As live: an episode opens and closes once, whatever a detector says again.
        word = word_of(finding)
        if word not in said:
            said.add(word)
            yield finding


def _raised(
    trace: Trace, thresholds: Mapping[str, str], known: tuple[type[Detector], ...], told: Callable[[int], None]
) -> Iterator[Finding]:
    diagnosis, attempt, now_micros = Diagnosis(trace.rows.job, -1), -1, 0
    for rows in trace.by_step():
        ended = median_micros(rows.ended_at_micros)
        if attempt >= 0:
            yield from _silence(diagnosis, now_micros, ended)
        if attempt != rows.attempt[0]:
            yield from diagnosis.follow_by(int(rows.attempt[0]), int(rows.ended_at_micros.min()))
            attempt, now_micros = int(rows.attempt[0]), ended
            diagnosis = Diagnosis(trace.rows.job, attempt)
            yield from diagnosis.configure(thresholds, known)
        now_micros = max(now_micros, ended)
        yield from diagnosis.add(rows)
        yield from diagnosis.advance(now_micros)
        told(len(rows))
    until = now_micros + AFTERWARDS_MICROS
    yield from _silence(diagnosis, now_micros, min(until, trace.recorded_until_micros or until))


def _silence(diagnosis: Diagnosis, from_micros: int, until_micros: int) -> Iterator[Finding]:
    """What a live run finds when it looks at the clock while nothing comes."""
    for moment in looks(from_micros, until_micros):
        yield from diagnosis.advance(moment)


def looks(from_micros: int, until_micros: int) -> Iterator[int]:
    """When a silence between two times is looked at."""
    passed = float(SILENCE_MICROS)
    while passed < until_micros - from_micros:
        yield from_micros + int(passed)
        passed *= SILENCE_GROWTH
