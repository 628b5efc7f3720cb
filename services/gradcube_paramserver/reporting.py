"""One ServerSync record for each version that the shard applied."""

from typing import Any

from gradcube.sync.checkpoints import ShardIdentity
from gradcube.sync.exchange import Applied, Push

TOPIC = "gradcube.server-syncs"


def server_sync(applied: Applied, identity: ShardIdentity, node: str, ended_at_micros: int) -> dict[str, Any]:
    """The ServerSync record: the ranks that took part, then those whose pushes of an old epoch were dropped."""
    pushes: tuple[Push, ...] = applied.pushes + applied.dropped
    first = min(push.arrived_at for push in pushes)
    sizes = applied.pushes[0].gradient.nbytes
    return {
        "job": identity.job,
        "attempt": applied.attempt,
        "shard": identity.shard,
        "node": node,
        "version": applied.version,
        "ended_at": ended_at_micros,
        "apply_seconds": applied.apply_seconds,
        "queue_depth": applied.queue_depth,
        "rank": [push.rank for push in pushes],
        "arrival_seconds": [push.arrived_at - first for push in pushes],
        "staleness": [applied.version - 1 - push.version for push in pushes],
        "bytes": [sizes] * len(pushes),
        "dropped": [False] * len(applied.pushes) + [True] * len(applied.dropped),
    }
