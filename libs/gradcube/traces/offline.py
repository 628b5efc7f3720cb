"""The diagnosis of a recorded run, without a broker: a Trace in, findings out, as a live run would have raised them."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from gradcube.diagnosis import Diagnosis, Finding, catalog
from gradcube.traces.reader import Trace
from gradcube.windows.settings import MICROS

SILENCE_MICROS = 10 * MICROS
"""A live run's watermark goes on by the clock when everybody has been silent for so long (see windows/watermark.py)."""
SILENCE_GROWTH = 1.1
"""Looks at a silence come 10 % apart, so that an hour of it costs 60."""


def findings_of(
    trace: Trace, thresholds: Mapping[str, str] | None = None, told: Callable[[int], None] = lambda _: None
) -> Iterator[Finding]:
    """The findings of each attempt, in order. Detectors see step n only after step n - 1, and nothing of n + 1.

    Every record of a step is there when the step is looked at, so that no batch, partition or grace has a say.
    `told` hears how many rows each step had. Raises ConfigError for a threshold that no detector has.
    """
    catalog.parse(thresholds or {})
    diagnoses: dict[int, Diagnosis] = {}
    now_micros = 0
    for rows in trace.by_step():
        attempt, ended = int(rows.attempt[0]), int(np.median(rows.ended_at_micros))
        if attempt not in diagnoses:
            diagnoses[attempt] = Diagnosis(trace.rows.job, attempt, catalog.build(thresholds))
            now_micros = ended
        for moment in _silence(now_micros, ended):
            yield from diagnoses[attempt].advance(moment)
        now_micros = max(now_micros, ended)
        yield from diagnoses[attempt].add(rows)
        yield from diagnoses[attempt].advance(now_micros)
        told(len(rows))


def _silence(from_micros: int, until_micros: int) -> Iterator[int]:
    """Moments at which a live run would have looked at the clock while nothing came."""
    passed = float(SILENCE_MICROS)
    while passed < until_micros - from_micros:
        yield from_micros + int(passed)
        passed *= SILENCE_GROWTH
