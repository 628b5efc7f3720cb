from collections.abc import Sequence

from gradcube.cube.store.catalogue import Catalogue
from gradcube.cube.store.manifest import Segment
from gradcube.cube.store.merging import due


def segment(number: int, *, rows: int = 10, level: int = 0) -> Segment:
    return Segment(f"{number:03}.parquet", "FACTS", 1, "FACTS", "2026-11-24", rows, 1, number, number, level)


def numbers(segments: Sequence[Segment]) -> list[int]:
    return sorted(one.first_millis for one in segments)


def test_as_many_of_one_level_as_the_fan_in_are_merged_and_others_wait() -> None:
    held = [segment(number) for number in range(3)] + [segment(7, level=1), segment(8, level=1)]
    assert due(held, settled=False, fan_in=4, max_rows=1000) == []
    assert numbers(due([*held, segment(3)], settled=False, fan_in=4, max_rows=1000)) == [0, 1, 2, 3]


def test_settled_day_is_merged_whole_and_left_alone_when_it_is_one() -> None:
    assert numbers(due([segment(1), segment(2, level=3)], settled=True, fan_in=8, max_rows=1000)) == [1, 2]
    assert due([segment(1)], settled=True, fan_in=8, max_rows=1000) == []


def test_no_merge_makes_a_segment_that_is_too_large() -> None:
    held = [segment(0, rows=900), *(segment(number, rows=400) for number in range(1, 5))]
    assert numbers(due(held, settled=True, fan_in=2, max_rows=1000)) == [1, 2]


def test_rows_are_merged_as_often_as_the_logarithm_of_their_number() -> None:
    held: list[Segment] = []
    rewritten = 0
    for number in range(512):
        held.append(segment(number, rows=1))
        while merged := due(held, settled=False, fan_in=8, max_rows=10_000):
            rewritten += sum(one.num_rows for one in merged)
            rows, level = sum(one.num_rows for one in merged), max(one.level for one in merged) + 1
            held = [one for one in held if one not in merged] + [segment(1000 + number, rows=rows, level=level)]
    assert rewritten == 512 * 3
    assert [one.num_rows for one in held] == [512]


def test_retired_segment_waits_for_every_snapshot_that_was_open_before() -> None:
    catalogue = Catalogue([segment(1)], {"FACTS": 1})
    early, twin = catalogue.pin(), catalogue.pin()
    catalogue.change(add=[segment(2)], retire=[segment(1)])
    late = catalogue.pin()
    assert catalogue.unreadable() == []
    catalogue.unpin(early)
    assert catalogue.unreadable() == []
    catalogue.unpin(twin)
    assert numbers(catalogue.unreadable()) == [1]
    assert catalogue.unreadable() == []
    assert numbers(late.segments("FACTS", 1, "FACTS")) == [2]
