"""A gateway in, what /status, /ready and /metrics tell of it out: counts and reasons, no data."""

from typing import Any

from gradcube.cube.kylin.watch import Seen
from gradcube_cube.gateway import Gateway


def status(gateway: Gateway) -> dict[str, Any]:
    """Of each cube, of compaction, of the query pool with the walls around it, and of the answers kept."""
    reason = unready(gateway)
    return {
        "ingest": "running" if reason is None else "stalled",
        "reason": reason,
        "compaction": gateway.compactor.reason,
        "cubes": {name: cube_status(gateway, name) for name in gateway.catalog.cubes},
        "views": sorted(gateway.catalog.views),
        "queries": gateway.pool.status(),
        "kept": gateway.kept.counts(),
        "audit": gateway.audit.broken or "written",
    }


def cube_status(gateway: Gateway, name: str) -> dict[str, Any]:
    """`freshness_seconds` is the age of the newest row by its own time, null for an empty cube."""
    if name not in gateway.ingests:
        return _in_kylin(gateway, name)
    store, ingest = gateway.store, gateway.ingests[name]
    offsets = {f"{topic}-{partition}": offset for (topic, partition), offset in sorted(store.offsets(name).items())}
    view = store.view
    return {
        "rows": store.rows(name),
        **store.counters(name),
        "topic": gateway.catalog.cubes[name].topic,
        "offsets": offsets,
        "lag": ingest.state.lag,
        "freshness_seconds": ingest.age_seconds,
        "stale": ingest.stale,
        "segments": sum(len(those) for place, those in view.live.items() if place[0] == name),
        "version": view.versions[name],
        "switched": store.is_switched(name),
        "held_back": ingest.held_back,
        "reason": ingest.state.reason,
    }


def _in_kylin(gateway: Gateway, name: str) -> dict[str, Any]:
    """`late` rows came after their segment was closed, `refused` records could not be read: both are in no answer."""
    assert gateway.kylin is not None
    seen = gateway.kylin.seen
    return {
        "engine": "kylin",
        "topic": gateway.catalog.cubes[name].topic,
        "version": seen.versions.get(name),
        "switched": name in seen.versions,
        "lag": seen.behind.get(name),
        "late": seen.late.get(name),
        "refused": seen.refused.get(name),
        "reason": gateway.kylin.reason or _why_not_read(seen, name),
    }


def _why_not_read(seen: Seen, name: str) -> str | None:
    if name not in seen.versions:
        return "not deployed to Kylin"
    return "no receiver of Kylin's reads it" if seen.behind.get(name) is None else None


def unready(gateway: Gateway) -> str | None:
    """Why not every cube is being read, or nothing can be answered; None when all is well."""
    if gateway.audit.broken is not None:
        return f"audit: {gateway.audit.broken}"
    reasons: dict[str, list[str]] = {}
    for name, ingest in gateway.ingests.items():
        if ingest.state.reason is not None:
            reasons.setdefault(ingest.state.reason, []).append(name)
    if gateway.kylin is not None and gateway.kylin.reason is not None:
        reasons[gateway.kylin.reason] = ["kylin"]
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items()) or None
