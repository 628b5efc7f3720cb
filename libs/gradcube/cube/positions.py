"""Where reading stands in a topic, and what a jump of its offsets means. Pure functions."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Place = tuple[str, int]
Ints = npt.NDArray[np.int64]


def recreated(expected: Mapping[Place, int], ends: Mapping[Place, int]) -> list[Place]:
    """The partitions that end before the offset that we would read next: the topic was deleted and made again."""
    return sorted(place for place, offset in expected.items() if place in ends and offset > ends[place])


def advance(
    expected: Mapping[Place, int], topic: str, partitions: Ints, offsets: Ints
) -> tuple[dict[Place, int], dict[str, int]]:
    """The next offset of every partition read, and what was out of the ordinary.

    `partitions` and `offsets` are (records,), in the order of arrival. `lost_records`: offsets that were skipped, since
    the topic no longer has them; `topic_resets`: offsets that went backwards. A first read may begin anywhere.
    """
    reached: dict[Place, int] = {}
    lost = resets = 0
    for partition in np.unique(partitions).tolist():
        own = offsets[partitions == partition]
        jumps = np.diff(own, prepend=expected.get((topic, partition), int(own[0])) - 1) - 1
        lost += int(jumps[jumps > 0].sum())
        resets += int((jumps < 0).sum())
        reached[topic, partition] = int(own[-1]) + 1
    counts = {"lost_records": lost, "topic_resets": resets}
    return reached, {name: count for name, count in counts.items() if count}
