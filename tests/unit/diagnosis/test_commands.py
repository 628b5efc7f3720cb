from importlib.metadata import EntryPoint
from typing import Any

import pytest
from tests.unit.diagnosis.ill_detectors import Ill

from gradcube.diagnosis import catalog, plugins
from gradcube.diagnosis.commands import Thresholds
from gradcube.errors import ConfigError

ILL = "tests.unit.diagnosis.ill_detectors:Ill"


def command(arguments: dict[str, str], *, job: str = "bert", action: str = "set") -> dict[str, Any]:
    return {"id": "1", "job": job, "at": 7, "by": "ops", "action": action, "arguments": arguments}


def test_the_last_command_of_a_job_wins() -> None:
    thresholds = Thresholds()
    thresholds.take(command({"straggler.min_ratio": "1.2", "hang.factor": "5"}))
    thresholds.take(command({"straggler.min_ratio": "1.3"}))
    thresholds.take(command({"hang.enabled": "false"}, job="other"))
    assert thresholds.of("bert") == {"straggler.min_ratio": "1.3", "hang.factor": "5"}
    assert thresholds.of("other") == {"hang.enabled": "false"}
    assert thresholds.of("third") == {}


@pytest.mark.parametrize(
    "arguments",
    [
        {"straggler.min_ration": "1.2"}, {"nobody.min_ratio": "1.2"}, {"straggler.min_ratio": "a lot"},
        {"straggler.min_ratio": "nan"}, {"straggler.warmup_steps": "1.5"}, {"straggler.enabled": "0"},
        {"straggler.open_at": "-1"}, {},
    ],
)  # fmt: skip
def test_a_wrong_command_changes_nothing_and_says_why(arguments: dict[str, str]) -> None:
    thresholds = Thresholds()
    thresholds.take(command({"straggler.min_ratio": "1.2"}))
    entry = thresholds.take(command({"hang.factor": "5", **arguments} if arguments else {}))
    assert entry is not None
    assert entry.refused
    assert (entry.by, entry.at_micros) == ("ops", 7)
    assert thresholds.of("bert") == {"straggler.min_ratio": "1.2"}


def test_default_takes_a_threshold_back() -> None:
    thresholds = Thresholds()
    thresholds.take(command({"straggler.min_ratio": "1.2", "hang.enabled": "false"}))
    thresholds.take(command({"straggler.min_ratio": "default", "hang.enabled": "default"}))
    assert thresholds.of("bert") == {}
    assert catalog.parse({"straggler.min_ratio": "default"}) == catalog.parse({})


def test_other_commands_are_not_about_thresholds() -> None:
    assert Thresholds().take(command({}, action="stop")) is None


def nobody(reason: str) -> None:
    raise AssertionError(reason)


def test_a_detector_is_found_by_its_module_path_and_by_its_entry_point() -> None:
    point = EntryPoint("ill", ILL, plugins.GROUP)
    assert plugins.load([ILL], refused=nobody, installed=[])[-1] is Ill
    assert plugins.load(refused=nobody, installed=[point])[-1] is Ill
    assert plugins.load([ILL], refused=nobody, installed=[point]).count(Ill) == 1
    assert Thresholds(plugins.load([ILL], refused=nobody)).take(command({"ill.at_step": "3"})).refused == ""


@pytest.mark.parametrize(
    "name",
    [
        "no.such.module:Detector", "tests.unit.diagnosis.ill_detectors:Nothing",
        "tests.unit.diagnosis.ill_detectors:NoSettings", "gradcube.diagnosis:Detector", "nonsense",
    ],
)  # fmt: skip
def test_a_setting_that_names_no_detector_is_refused_and_a_package_is_left_out(name: str) -> None:
    with pytest.raises(ConfigError):
        plugins.load([name], refused=nobody, installed=[])
    reasons: list[str] = []
    known = plugins.load(refused=reasons.append, installed=[EntryPoint("theirs", name, plugins.GROUP)])
    assert known == catalog.DETECTORS
    assert "'theirs'" in reasons[0]
