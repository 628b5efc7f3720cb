import numpy as np

from gradcube.diagnosis.rank_memory import RankMemory


def test_a_rank_keeps_its_place_and_its_number_whoever_else_reports() -> None:
    memory = RankMemory()
    number = memory.field(-1.0)
    for ranks in ([3, 7], [1, 3, 5, 7], [1, 7], [0, 1, 2, 3], [3, 7]):
        at = memory.columns(np.array(ranks, np.int32))
        assert memory.ranks[at].tolist() == ranks
        known = number.values[at] >= 0
        assert number.values[at][known].tolist() == [rank for rank, seen in zip(ranks, known, strict=True) if seen]
        number.values[at] = ranks
    assert number.values[memory.columns(np.array([0, 1, 2, 3, 5, 7], np.int32))].tolist() == [0, 1, 2, 3, 5, 7]
    assert memory.columns(np.array([9], np.int32)).tolist() == [6]
    assert number.values.tolist()[6] == -1.0


def test_nobody_has_no_place() -> None:
    assert RankMemory().columns(np.array([], np.int32)).tolist() == []
