"""Kylin's receivers: put into sets, told to read a cube, and seen to do so."""

from collections.abc import Callable, Iterator, Mapping
from operator import not_
from typing import Any

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from gradcube.kylin.rest import KylinAbsent, KylinError, KylinRest

_TRIES, _READ_SECONDS, _LOOK_SECONDS = 3, 15.0, 0.5


class Receivers:
    """`Receivers(rest, replicas=2)`, of which at least `wanted` must have come. Raises KylinError from every call."""

    def __init__(self, rest: KylinRest, replicas: int, wanted: int = 1) -> None:
        self._rest, self._replicas, self._wanted = rest, replicas, wanted

    def assign(self) -> None:
        """Partitions are given to sets of `replicas` receivers, which all read them: each new one completes a set."""
        come = list(map(_address, self._rest.get("streaming_v2/receivers")))
        if len(come) < self._wanted:
            raise KylinAbsent(f"{len(come)} of {self._wanted} receivers have come; deploy again when the others have")
        groups = self._sets()
        for node in come:
            if any(node in known for known in groups.values()):
                continue
            short = next((number for number, known in groups.items() if 0 < len(known) < self._replicas), None)
            if short is not None:
                self._rest.put(f"streaming_v2/replicaSet/{short}/{node[0]}_{node[1]}")
                groups[short].add(node)
            else:
                self._rest.post("streaming_v2/replicaSet", {"nodes": [{"host": node[0], "port": node[1]}]})
                groups = self._sets_with_leaders()

    def start_reading(self, cube: str) -> None:
        """Kylin calls a cube READY also when a receiver could not begin; then it has no rows, and no lag either."""
        for _ in range(_TRIES):
            self._rest.put(f"cubes/{cube}/enable")
            if self._is_read(cube):
                return
            self._rest.put(f"cubes/{cube}/disable")
        raise KylinError(
            f"a receiver does not read {cube}, which is disabled again; its log in the folder of gradcube kylin status "
            "says why; start it anew, then deploy again"
        )

    def missing(self, cube: str) -> int:
        """Records that they have not read. Offsets there are "last read", so one a partition is no lag."""
        stats = self._rest.get(f"streaming_v2/cubes/{cube}/stats")
        return sum(max(0, lag - 1) for lag in _found_in(stats, "consume_lag", within="partition_consume_stats"))

    def _sets_with_leaders(self) -> dict[int, set[tuple[str, int]]]:
        """When its first receiver becomes a set's leader, Kylin writes the set as it was: whom it got since is lost."""
        _within_seconds(lambda: all(group["leader"] for group in self._rest.get("streaming_v2/replicaSets")))
        return self._sets()

    def _is_read(self, cube: str) -> bool:
        return _within_seconds(lambda: self._reads(cube))

    def _reads(self, cube: str) -> bool:
        """Every receiver of it that answers."""
        sets = self._rest.get(f"streaming_v2/cubes/{cube}/stats")["receiver_cube_real_time_states"].values()
        told = [node["receiver_cube_stats"] for nodes in sets for node in nodes.values()]
        answered = [one for one in told if one is not None]
        return bool(answered) and all(one["consumer_stats"] is not None for one in answered)

    def _sets(self) -> dict[int, set[tuple[str, int]]]:
        groups = self._rest.get("streaming_v2/replicaSets")
        return {group["rs_id"]: set(map(_address, group["nodes"])) for group in groups}


def _within_seconds(condition: Callable[[], bool]) -> bool:
    looking = Retrying(
        retry=retry_if_result(not_), stop=stop_after_delay(_READ_SECONDS), wait=wait_fixed(_LOOK_SECONDS),
        retry_error_callback=lambda _: False,
    )  # fmt: skip
    return bool(looking(condition))


def _address(node: Mapping[str, Any]) -> tuple[str, int]:
    return str(node["host"]), int(node["port"])


def _found_in(tree: Any, name: str, *, within: str) -> Iterator[int]:
    """Numbers of that name anywhere below `within`: the answer nests them by receiver and by partition."""

    def walk(node: Any, inside: bool) -> Iterator[int]:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
            if inside and key == name and isinstance(value, int):
                yield value
            else:
                yield from walk(value, inside or key == within)

    return walk(tree, False)
