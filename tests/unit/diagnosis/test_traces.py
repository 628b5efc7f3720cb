"""The detector on recordings of real training; nothing in it knows these files."""

from pathlib import Path

import pytest
from tests.unit.diagnosis.traces import trace_directory, trace_frames

from gradcube.diagnosis import Finding, StragglerDetector


def findings_of(path: Path) -> list[Finding]:
    detector = StragglerDetector()
    return [finding for frame in trace_frames(path, path.stem) for finding in detector.observe(frame)]


def test_the_slow_worker_of_a_pipeline_job_is_named_and_nobody_else() -> None:
    findings = findings_of(trace_directory() / "bytedance_AR.parquet")
    assert {(f.kind, f.subject.replica, f.subject.stage) for f in findings} == {("STRAGGLER", 0, 0)}
    assert findings[-1].magnitude == pytest.approx(2.357, rel=0.03), "forward and backward against stage peers"
    backward = next(piece for piece in findings[-1].evidence if piece.signal == "backward_seconds")
    assert backward.value / (backward.peers or 1) == pytest.approx(2.267, rel=0.03)


def test_the_worker_that_turns_straggler_in_the_middle_is_named_and_nobody_else() -> None:
    findings = findings_of(trace_directory() / "alibaba_job_1.parquet")
    findings = [f for f in findings if f.kind != "OTHER"]  # two workers are 5-7 % slower than the others throughout
    assert {f.subject.rank for f in findings} == {6}
    assert 100 < findings[0].onset_step <= findings[0].detected_step <= findings[0].onset_step + 5


def test_healthy_runs_of_large_clusters_have_no_straggler() -> None:
    paths = sorted((trace_directory() / "mlperf_405b").glob("*.parquet"))
    assert paths
    assert {path.stem: findings_of(path) for path in paths} == {path.stem: [] for path in paths}
