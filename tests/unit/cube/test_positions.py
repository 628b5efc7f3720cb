import numpy as np

from gradcube.cube.positions import advance, next_offsets, recreated


def test_contiguous_offsets_are_nothing_special() -> None:
    assert next_offsets({("t", 0): 5}, [("t", 0, 5), ("t", 1, 70), ("t", 0, 6)]) == ({("t", 0): 7, ("t", 1): 71}, {})


def test_skipped_offsets_are_counted_as_lost() -> None:
    assert next_offsets({("t", 0): 5}, [("t", 0, 9), ("t", 0, 12)]) == ({("t", 0): 13}, {"lost_records": 6})


def test_offsets_that_go_backwards_are_a_reset() -> None:
    assert next_offsets({("t", 0): 5}, [("t", 0, 0), ("t", 0, 1)]) == ({("t", 0): 2}, {"topic_resets": 1})


def test_partition_that_ends_before_our_place_was_recreated() -> None:
    assert recreated({("t", 0): 5, ("t", 1): 5, ("t", 2): 5}, {("t", 0): 4, ("t", 1): 5}) == [("t", 0)]


def test_partitions_that_take_turns_are_each_followed_on_their_own() -> None:
    partitions, offsets = np.array([0, 1, 0, 1, 1]), np.array([5, 9, 8, 3, 4])
    reached, counts = advance({("t", 0): 5}, "t", partitions, offsets)
    assert reached == {("t", 0): 9, ("t", 1): 5}
    assert counts == {"lost_records": 2, "topic_resets": 1}
