import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcube.windows import Watermarks

SECOND = 1_000_000
NOW = 1_000 * SECOND


def test_watermark_is_the_slowest_partition_less_the_grace() -> None:
    marks = Watermarks(grace_seconds=5)
    marks.observe(("steps", 0), 100 * SECOND, NOW)
    marks.observe(("steps", 1), 90 * SECOND, NOW)
    assert marks.watermark(NOW) == 85 * SECOND


def test_idle_partition_holds_nobody_up() -> None:
    marks = Watermarks(grace_seconds=5, idle_seconds=10)
    marks.observe(("steps", 1), 50 * SECOND, NOW)
    marks.observe(("steps", 0), 100 * SECOND, NOW + 9 * SECOND)
    assert marks.watermark(NOW + 9 * SECOND) == 45 * SECOND
    assert marks.watermark(NOW + 11 * SECOND) == 95 * SECOND


def test_when_all_is_idle_the_watermark_goes_on_by_the_clock() -> None:
    marks = Watermarks(grace_seconds=5, idle_seconds=10)
    marks.observe(("steps", 0), 100 * SECOND, NOW)
    assert marks.watermark(NOW + 9 * SECOND) == 95 * SECOND
    assert marks.watermark(NOW + 30 * SECOND) == 125 * SECOND


def test_a_backlog_is_not_silence() -> None:
    marks = Watermarks(grace_seconds=5, idle_seconds=10)
    marks.observe(("steps", 0), 100 * SECOND, NOW)
    marks.observe(("steps", 0), 101 * SECOND, NOW + 9 * SECOND)
    assert marks.watermark(NOW + 18 * SECOND) == 96 * SECOND


def test_forgotten_partition_does_not_count() -> None:
    marks = Watermarks(grace_seconds=5)
    marks.observe(("steps", 0), 10 * SECOND, NOW)
    marks.observe(("steps", 1), 100 * SECOND, NOW)
    marks.forget(("steps", 0))
    assert marks.watermark(NOW) == 95 * SECOND


def test_before_anything_was_seen_the_watermark_is_0() -> None:
    assert Watermarks().watermark(NOW) == 0


def test_senseless_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="idle_seconds 0"):
        Watermarks(idle_seconds=0)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 200), st.integers(0, 20)), max_size=30))
def test_watermark_never_goes_back(observed: list[tuple[int, int, int]]) -> None:
    marks, now, before = Watermarks(), NOW, 0
    for partition, event, pause in observed:
        now += pause * SECOND
        marks.observe(("steps", partition), event * SECOND, now)
        after = marks.watermark(now)
        assert after >= before
        before = after
