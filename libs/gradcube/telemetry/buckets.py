"""How parameters are grouped into buckets: in reverse order of registration, which is about the order of backward."""

from collections.abc import Sequence

from gradcube.telemetry.phases import MAX_BUCKETS

BUCKET_BYTES = 256 * 1024


def plan_buckets(sizes_bytes: Sequence[int], *, bucket_bytes: int = BUCKET_BYTES) -> list[list[int]]:
    """Groups of positions in `sizes_bytes`; together they hold each position once.

    A bucket closes as soon as it holds `bucket_bytes`, which is raised where more than MAX_BUCKETS would come of it.
    """
    wanted = max(bucket_bytes, -(-sum(sizes_bytes) // MAX_BUCKETS))
    buckets: list[list[int]] = []
    filled = wanted
    for position in reversed(range(len(sizes_bytes))):
        if filled >= wanted:
            buckets.append([])
            filled = 0
        buckets[-1].append(position)
        filled += sizes_bytes[position]
    return buckets
