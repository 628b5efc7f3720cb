import numpy as np

from gradcube.cube.positions import Place, advance, recreated


def advanced(*read: tuple[int, int]) -> tuple[dict[Place, int], dict[str, int]]:
    """After (partition, offset) in this order, where 5 comes next in partition 0."""
    partitions, offsets = np.array(read, np.int64).T
    return advance({("t", 0): 5}, "t", partitions, offsets)


def test_contiguous_offsets_are_nothing_special() -> None:
    assert advanced((0, 5), (1, 70), (0, 6)) == ({("t", 0): 7, ("t", 1): 71}, {})


def test_skipped_offsets_are_counted_as_lost() -> None:
    assert advanced((0, 9), (0, 12)) == ({("t", 0): 13}, {"lost_records": 6})


def test_offsets_that_go_backwards_are_a_reset() -> None:
    assert advanced((0, 0), (0, 1)) == ({("t", 0): 2}, {"topic_resets": 1})


def test_partition_that_ends_before_our_place_was_recreated() -> None:
    assert recreated({("t", 0): 5, ("t", 1): 5, ("t", 2): 5}, {("t", 0): 4, ("t", 1): 5}) == [("t", 0)]


def test_partitions_that_take_turns_are_each_followed_on_their_own() -> None:
    partitions, offsets = np.array([0, 1, 0, 1, 1]), np.array([5, 9, 8, 3, 4])
    reached, counts = advance({("t", 0): 5}, "t", partitions, offsets)
    assert reached == {("t", 0): 9, ("t", 1): 5}
    assert counts == {"lost_records": 2, "topic_resets": 1}
