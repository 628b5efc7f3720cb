"""Every detector that comes with gradcube, and a job's thresholds by name: `{"straggler.min_ratio": "1.05"}`.

To add one: a class in a module of this folder, its line in DETECTORS, and a test.
"""

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from gradcube.diagnosis.detector import Detector
from gradcube.diagnosis.gaps.monitor_gap import MonitorGapDetector
from gradcube.diagnosis.gradients.gradient_anomaly import GradientAnomalyDetector
from gradcube.diagnosis.gradients.stale_gradients import StaleGradientsDetector
from gradcube.diagnosis.hangs.hang import HangDetector
from gradcube.diagnosis.loss.divergence import DivergenceDetector
from gradcube.diagnosis.loss.loss_spike import LossSpikeDetector
from gradcube.diagnosis.loss.plateau import PlateauDetector
from gradcube.diagnosis.resources.pressure import PressureDetector
from gradcube.diagnosis.servers.slow_shard import SlowShardDetector
from gradcube.diagnosis.slow.data_stall import DataStallDetector
from gradcube.diagnosis.slow.straggler import StragglerDetector
from gradcube.errors import ConfigError

DETECTORS: tuple[type[Detector], ...] = (
    StragglerDetector,
    HangDetector,
    LossSpikeDetector,
    DivergenceDetector,
    PlateauDetector,
    GradientAnomalyDetector,
    StaleGradientsDetector,
    DataStallDetector,
    SlowShardDetector,
    PressureDetector,
    MonitorGapDetector,
)
ENABLED = "enabled"
DEFAULT = "default"
"""The value that takes a threshold back to what it is by itself."""


def build(thresholds: Mapping[str, str] | None = None, known: tuple[type[Detector], ...] = DETECTORS) -> list[Detector]:
    """The detectors that are switched on, with these thresholds: `build({"straggler.enabled": "false"})`.

    Raises ConfigError for a name or a value that no detector has.
    """
    wanted = parse(thresholds or {}, known)
    return [kind(wanted[kind.name][1]) for kind in known if wanted[kind.name][0]]


def parse(thresholds: Mapping[str, str], known: tuple[type[Detector], ...] = DETECTORS) -> dict[str, tuple[bool, Any]]:
    """Of each detector whether it is on, and its settings. Raises ConfigError, which names what was wrong."""
    own: dict[str, tuple[bool, Any]] = {kind.name: (True, kind.Settings()) for kind in known}
    for name, value in thresholds.items():
        detector, _, threshold = name.partition(".")
        if detector not in own:
            raise ConfigError(f"no detector has the threshold {name!r}; detectors are {', '.join(sorted(own))}")
        on, settings = own[detector]
        if threshold == ENABLED:
            own[detector] = value == DEFAULT or _boolean(name, value), settings
        else:
            own[detector] = on, _changed(settings, name, threshold, value)
    return own


def _changed(settings: Any, name: str, threshold: str, value: str) -> Any:
    present = {field.name: getattr(settings, field.name) for field in fields(settings)}
    if threshold not in present:
        raise ConfigError(f"no threshold {name!r}; known are {ENABLED}, {', '.join(present)}")
    if value == DEFAULT:
        return replace(settings, **{threshold: getattr(type(settings)(), threshold)})
    try:
        return replace(settings, **{threshold: _read(name, value, present[threshold])})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} is {value!r}: {error}") from error


def _read(name: str, value: str, present: Any) -> Any:
    if isinstance(present, bool):
        return _boolean(name, value)
    read = type(present)(value)
    if isinstance(read, float) and not math.isfinite(read):
        raise ValueError("it is a finite number")
    if isinstance(present, int | float) and read < 0 <= present:
        raise ValueError("it is not below 0")
    return read


def _boolean(name: str, value: str) -> bool:
    if value not in ("true", "false"):
        raise ConfigError(f"{name} is {value!r}; it is true or false")
    return value == "true"
