from types import SimpleNamespace

import pytest
from tests.unit.diagnosis.ill_detectors import CannotBeWritten, Ill, NoFinding, Stillborn, WrongKind
from tests.unit.diagnosis.test_engine import Recorder, slowed_job
from tests.unit.windows.making import SECOND, START

from gradcube.diagnosis import Detector, Diagnosis, Finding, StragglerDetector, Waiting
from gradcube.diagnosis.catalog import DETECTORS
from gradcube.diagnosis.guard import Guard, Reached
from gradcube.diagnosis.stopwatch import FREE_SECONDS, Budget


def diagnosed(*detectors: Detector, steps: int = 200) -> list[Finding]:
    diagnosis = Diagnosis("bert", 0, detectors)
    findings = [found for rows in slowed_job(steps) for found in diagnosis.add(rows)]
    return findings + diagnosis.advance(START + 1_000 * SECOND)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Ill, "ZeroDivisionError: of its own making"),
        (NoFinding, "no list of findings"),
        (WrongKind, "a finding of kind HANG"),
        (CannotBeWritten, "it raised"),
    ],
)
def test_a_detector_that_misbehaves_is_switched_off_and_the_rest_goes_on(kind: type[Ill], reason: str) -> None:
    recorder, ill = Recorder(), kind()
    findings = diagnosed(ill, recorder, StragglerDetector())
    [off] = [found for found in findings if found.kind == "OTHER"]
    assert (off.state, off.detected_step, off.end_step) == ("CLOSED", 20, 20)
    assert reason in off.verdict
    assert "gradcube set bert ill.enabled" in off.verdict
    assert recorder.steps == list(range(200))
    assert [found.state for found in findings if found.kind == "STRAGGLER"] == ["OPENED", "CLOSED"]


def test_what_a_detector_had_opened_is_closed_when_it_is_switched_off() -> None:
    own = [found for found in diagnosed(Ill()) if found.kind == "PLATEAU"]
    assert [found.state for found in own] == ["OPENED", "CLOSED"]
    assert own[0].id == own[1].id
    assert own[1].end_step == 20
    assert "nothing moves" in own[1].verdict


def test_the_finding_about_a_failure_is_the_same_after_a_restart() -> None:
    first, second = ([found for found in diagnosed(Ill()) if found.kind == "OTHER"] for _ in range(2))
    assert first == second


def test_a_detector_that_cannot_even_be_made_is_switched_off() -> None:
    diagnosis = Diagnosis("bert", 0)
    [off] = diagnosis.configure({}, known=(Stillborn, StragglerDetector))
    assert "not today" in off.verdict
    findings = [found for rows in slowed_job() for found in diagnosis.add(rows)]
    findings += diagnosis.advance(START + 1_000 * SECOND)
    assert {found.kind for found in findings} == {"STRAGGLER"}


def test_a_failed_detector_comes_back_only_when_switched_off_and_on() -> None:
    diagnosis, recorder_known = Diagnosis("bert", 0), (Ill,)
    diagnosis.configure({"ill.at_step": "3"}, recorder_known)
    batches = slowed_job(40)
    findings = [found for rows in batches[:4] for found in diagnosis.add(rows)] + diagnosis.advance(START + 9 * SECOND)
    assert [found.kind for found in findings].count("OTHER") == 1
    assert diagnosis.configure({"ill.at_step": "3"}, recorder_known) == []
    assert diagnosis.configure({"ill.enabled": "false"}, recorder_known) == []
    assert diagnosis.configure({"ill.at_step": "15"}, recorder_known) == []
    again = [found for rows in batches[4:8] for found in diagnosis.add(rows)]
    assert [found.detected_step for found in again if found.kind == "OTHER"] == [15]


def timed(costs: list[float], *, share: float = 0.25, step_seconds: float = 1.0) -> list[Finding]:
    """A detector whose calls take these seconds, one a step."""
    now = [0.0]

    class Slow(Recorder):
        name = "slow"

        def observe(self, frame: object) -> list[Finding]:
            now[0] += costs[len(self.steps)]
            self.steps.append(0)
            return []

    guard = Guard("slow", "bert", 0, Budget(lambda: now[0], share))
    guard.hold(Slow())
    found = []
    for at in range(len(costs)):
        reached = Reached(at, round(at * step_seconds * 1e6))
        found += guard.ask("observe", (None,), reached)
        now[0] += 0.001  # the other detectors
    return found


def test_a_slow_detector_is_switched_off_with_the_share_that_it_took() -> None:
    [off] = timed([0.5] * 64)
    assert "of the time" in off.verdict
    assert off.detected_step < 20


def test_a_backlog_is_read_faster_than_it_happened_and_nobody_is_blamed_for_it() -> None:
    assert timed([0.2] * 64) == []


def test_a_frozen_process_is_not_the_detectors_fault() -> None:
    assert timed([0.001] * 10 + [60.0] + [0.001] * 200, step_seconds=0.01) == []


def test_little_time_is_free() -> None:
    assert timed([FREE_SECONDS / 70] * 64, step_seconds=0.0) == []


def test_without_a_clock_nobody_is_slow() -> None:
    guard = Guard("recorder", "bert", 0, Budget())
    guard.hold(Recorder())
    frame = SimpleNamespace(step=0)
    assert [found for _ in range(200) for found in guard.ask("observe", (frame,), Reached())] == []


def test_a_detector_is_not_asked_what_it_does_not_override() -> None:
    looks: list[float] = []

    def clock() -> float:
        looks.append(0.0)
        return 0.0

    guard = Guard("recorder", "bert", 0, Budget(clock))
    guard.hold(Recorder())
    assert guard.ask("pass_time", (START, Waiting(None, set(), set(), -1, 0)), Reached()) == []
    assert looks == []
    guard.ask("observe", (SimpleNamespace(step=0),), Reached())
    assert looks


def test_thresholds_change_while_episodes_go_on_and_a_switched_off_detector_lets_go() -> None:
    diagnosis = Diagnosis("bert", 0)
    diagnosis.configure({}, DETECTORS)
    batches = slowed_job()
    opened = [found for rows in batches[: 4 * 14] for found in diagnosis.add(rows)]
    opened += diagnosis.advance(START + 60 * SECOND)
    opened += [found for rows in batches[: 4 * 14] for found in diagnosis.add(rows)]
    assert [found.state for found in opened if found.kind == "STRAGGLER"] == ["OPENED"]
    assert diagnosis.configure({"straggler.close_at": "5"}, DETECTORS) == []
    [closed] = diagnosis.configure({"straggler.enabled": "false"}, DETECTORS)
    assert (closed.state, closed.id) == ("CLOSED", opened[0].id)
    assert "switched off" in closed.verdict
