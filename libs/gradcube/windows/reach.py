"""What a node found of its dependencies, as numbers: the `reach` of a ResourceSample in, a float a name out."""

from collections.abc import Mapping, Sequence
from typing import Any

DEPENDENCIES = ("broker", "server", "store", "gateway")
"""Symbols of the schema's enum Dependency, in small letters."""
REACH_FLOATS = tuple(f"{name}_{what}" for name in DEPENDENCIES for what in ("reach_seconds", "reachable_ratio"))


def reach_floats(reach: Sequence[Mapping[str, Any]]) -> list[float]:
    """In the order of REACH_FLOATS: seconds to the slowest of those that were reached, and the share that was.

    NaN for a dependency that was not looked at, and for the seconds of one that was not reached.
    """
    floats = []
    for name in DEPENDENCIES:
        seconds = [each["seconds"] for each in reach if each["dependency"] == name.upper()]
        reached = [each for each in seconds if each is not None]
        floats += [max(reached, default=float("nan")), len(reached) / len(seconds) if seconds else float("nan")]
    return floats
