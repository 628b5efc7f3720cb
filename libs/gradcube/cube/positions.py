"""Where reading stands in a topic, and what a jump of its offsets means. Pure functions."""

from collections.abc import Iterable, Mapping

Place = tuple[str, int]


def recreated(expected: Mapping[Place, int], ends: Mapping[Place, int]) -> list[Place]:
    """The partitions that end before the offset that we would read next: the topic was deleted and made again."""
    return sorted(place for place, offset in expected.items() if place in ends and offset > ends[place])


def next_offsets(
    expected: Mapping[Place, int], read: Iterable[tuple[str, int, int]]
) -> tuple[dict[Place, int], dict[str, int]]:
    """The next offset of every partition read, and what was out of the ordinary.

    `read` is (topic, partition, offset) in the order of arrival. `lost_records`: offsets that were skipped, since the
    topic no longer has them; `topic_resets`: offsets that went backwards. A first read may begin anywhere.
    """
    offsets: dict[Place, int] = {}
    counts = {"lost_records": 0, "topic_resets": 0}
    for topic, partition, offset in read:
        place = (topic, partition)
        wanted = offsets.get(place, expected.get(place, offset))
        counts["lost_records"] += max(0, offset - wanted)
        counts["topic_resets"] += offset < wanted
        offsets[place] = offset + 1
    return offsets, {name: count for name, count in counts.items() if count}
