from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from tests.unit.diagnosis.making import START, STEP_MICROS, frame, states

from gradcube.diagnosis import Finding
from gradcube.diagnosis.resources.pressure import PressureDetector
from gradcube.windows.rows import RESOURCE_FLOATS, ResourceRows

GPUS, SECONDS, ONSET, END = 8, 60, 20, 40
HEALTHY = {
    "gpu_utilization_ratio": 0.98, "gpu_sm_clock_hertz": 1.755e9, "gpu_temperature_celsius": 68.0,
    "gpu_throttle_reasons": 4.0, "memory_used_bytes": 50e9, "memory_total_bytes": 100e9,
    "cgroup_cpu_throttled_seconds_total": 7.0,
}  # fmt: skip


def rows(second: int, changes: Mapping[int, Mapping[str, float]]) -> ResourceRows:
    floats = np.full((GPUS, len(RESOURCE_FLOATS)), np.nan)
    for gpu in range(GPUS):
        for name, value in (HEALTHY | dict(changes.get(gpu, {}))).items():
            floats[gpu, RESOURCE_FLOATS.index(name)] = value
    at = np.full(GPUS, START + second * STEP_MICROS)
    return ResourceRows(
        job="bert", attempt=np.zeros(GPUS, np.int32), rank=np.arange(GPUS, dtype=np.int32),
        node=np.array([f"node-{gpu // 4}" for gpu in range(GPUS)], object),
        device=np.array([f"gpu:{gpu % 4}" for gpu in range(GPUS)], object), ended_at_micros=at, appended_at_micros=at,
        offset=np.arange(GPUS), floats=floats,
    )  # fmt: skip


def samples(gpu: int, **during: Any) -> Iterator[ResourceRows]:
    """One GPU is different from ONSET to END; a value may be a function of the second."""
    for second in range(SECONDS):
        own = {name: value(second) if callable(value) else value for name, value in during.items()}
        yield rows(second, {gpu: own} if ONSET <= second < END else {})


def watch_samples(every: Iterator[ResourceRows]) -> list[Finding]:
    detector, findings = PressureDetector(), []
    for second, batch in enumerate(every):
        findings += detector.observe(frame(second)) + detector.observe_resources(batch)
    return findings


def told(findings: list[Finding]) -> list[tuple[str, str, int | None]]:
    return [(finding.kind, finding.state, finding.subject.rank) for finding in findings]


def both(kind: str, rank: int) -> list[tuple[str, str, int | None]]:
    return [(kind, "OPENED", rank), (kind, "CLOSED", rank)]


def test_healthy_gpus_at_their_power_cap_are_quiet() -> None:
    assert watch_samples(samples(0)) == []


def test_a_gpu_that_protects_itself_is_named_after_five_samples() -> None:
    findings = watch_samples(samples(5, gpu_throttle_reasons=0x44))
    assert told(findings) == both("THROTTLING", 5)
    assert (findings[0].onset_at_micros, findings[0].detected_step) == (START + ONSET * STEP_MICROS, ONSET + 4)
    assert "node-1" in findings[0].verdict


def test_a_busy_gpu_below_its_peers_clock_is_named_and_an_idle_one_is_not() -> None:
    assert told(watch_samples(samples(2, gpu_sm_clock_hertz=1.2e9))) == both("THROTTLING", 2)
    assert watch_samples(samples(2, gpu_sm_clock_hertz=0.3e9, gpu_utilization_ratio=0.0)) == []


def test_a_process_that_its_cgroup_keeps_from_the_cpu_is_named() -> None:
    findings = watch_samples(samples(1, cgroup_cpu_throttled_seconds_total=lambda second: 7 + 0.4 * (second - ONSET)))
    assert told(findings) == both("THROTTLING", 1)
    assert findings[0].magnitude == np.float64(0.4) or abs(findings[0].magnitude - 0.4) < 1e-6


def test_heat_and_full_memory_are_pressure() -> None:
    assert told(watch_samples(samples(3, gpu_temperature_celsius=93.0))) == both("RESOURCE_PRESSURE", 3)
    assert told(watch_samples(samples(4, memory_used_bytes=97e9))) == both("RESOURCE_PRESSURE", 4)


def test_a_short_peak_is_none() -> None:
    peak = {"gpu_temperature_celsius": lambda second: 93.0 if second % 5 else 70.0}
    assert watch_samples(samples(3, **peak)) == []


def test_many_seconds_in_one_batch_are_the_same_as_one_by_one() -> None:
    every = list(samples(5, gpu_throttle_reasons=0x40))
    detector = PressureDetector()
    detector.observe(frame(0))
    findings = detector.observe_resources(ResourceRows.concat(every))
    assert (states(findings), findings[0].onset_at_micros) == (["OPENED", "CLOSED"], START + ONSET * STEP_MICROS)
    assert findings[0].detected_at_micros == START + (ONSET + 4) * STEP_MICROS
