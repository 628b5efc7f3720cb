"""The demo's options and the output's cells."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcube.cli.output import cell
from gradcube.cli.scene import DemoSettings
from gradcube.errors import ConfigError

GOOD = DemoSettings(
    workers=4, steps=240, seed=0, slow=True, slow_rank=None, slow_factor=1.6, data=None, keep=False
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"workers": 2}, "--workers 2"),
        ({"slow_rank": 4}, "ranks 0 to 3"),
        ({"slow_rank": -1}, "--slow-rank -1"),
        ({"slow_factor": 1.0}, "--slow-factor 1.0"),
        ({"steps": 79}, "at least 80"),
        ({"data": Path("/no/such/folder")}, "no such folder"),
        ({"kylin": True, "keep": True}, "--keep leaves no Kylin running"),
    ],
)
def test_what_cannot_work_is_refused_with_the_option(change: dict[str, Any], words: str) -> None:
    GOOD.check()
    with pytest.raises(ConfigError, match=words):
        replace(GOOD, **change).check()


def test_few_workers_and_steps_are_enough_when_nobody_is_slowed() -> None:
    replace(GOOD, slow=False, workers=1, steps=1, slow_factor=1).check()


@given(seed=st.integers(), workers=st.integers(3, 16))
def test_seed_draws_the_same_rank_of_the_run_each_time(seed: int, workers: int) -> None:
    settings = replace(GOOD, seed=seed, workers=workers)
    assert settings.culprit() == settings.culprit()
    assert 0 <= settings.culprit() < workers


@given(factor=st.floats(1.01, 100), workers=st.integers(3, 16))
def test_share_of_the_slowed_worker_is_below_the_whole(factor: float, workers: int) -> None:
    assert 0 < replace(GOOD, slow_factor=factor, workers=workers).slow_share() < 1


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0.123456, "0.1235"), (12345.6, "12,346"), (7, "7"), ("a", "a")]
)
def test_cell_is_short_and_absent_is_a_dash(value: Any, text: str) -> None:
    assert cell(value) == text
