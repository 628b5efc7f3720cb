"""From waits to their causes: the ranks for which others wait, and which wait for nobody themselves."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gradcube.flight_recorder.dumps import Dump
from gradcube.flight_recorder.operations import Operation
from gradcube.flight_recorder.standing import Standing
from gradcube.flight_recorder.waits import Wait


class _Queues:
    """What each rank has pending, in the order of its calls, without what another rank is known to have finished."""

    def __init__(self, dumps: Mapping[int, Dump], standings: Iterable[Standing]) -> None:
        done = {id(one) for standing in standings for rank in standing.entered for one in standing.overtaken(rank)}
        self.pending = {
            rank: [one for one in dump.operations if one.pending and id(one) not in done]
            for rank, dump in dumps.items()
        }
        self.heads = {rank: operations[0].identity for rank, operations in self.pending.items() if operations}
        self._sharing = defaultdict[object, set[int]](set)
        for rank, operations in self.pending.items():
            for one in operations:
                self._sharing[one.identity].add(rank)

    def busy_before(self, one: Operation, own: frozenset[int]) -> frozenset[int]:
        """Who has the operation behind an earlier one, or has a record that is not to be trusted (`own`)."""
        others = self._sharing[one.identity] - {one.rank}
        return frozenset(other for other in others if self.heads[other] != one.identity or other in own)


@dataclass(frozen=True)
class Graph:
    """`for_whom[rank]` are the ranks that it waits for, none for a rank that is not in it."""

    waits: tuple[Wait, ...]
    for_whom: Mapping[int, frozenset[int]]

    @classmethod
    def of(
        cls, dumps: Mapping[int, Dump], standings: Iterable[Standing], waits: Iterable[Wait], own: frozenset[int]
    ) -> "Graph":
        """A rank is stuck at its first pending operation, since a GPU does its queue in order.

        It waits there for those who are absent, else for those who are busy with something earlier. Where it waits for
        nobody (another stream may have gone on), its next operation counts. A rank of `own` has a cause of its own, and
        so has one whose GPU has not begun what its peers' have.
        """
        waits, queues = tuple(waits), _Queues(dumps, standings)
        not_begun = {(rank, wait.operation.identity) for wait in waits if not wait.is_p2p for rank in wait.absent}
        absent = {id(one): wait.absent for wait in waits for one in wait.waiting.values()}
        for_whom = {}
        for rank in queues.heads.keys() - own:
            if (rank, queues.heads[rank]) not in not_begun:
                each = (absent.get(id(one)) or queues.busy_before(one, own) for one in queues.pending[rank])
                for_whom[rank] = next((others for others in each if others), frozenset[int]())
        return cls(waits, for_whom)

    def behind(self, roots: Iterable[int]) -> frozenset[int]:
        """Everybody who waits for one of these, or for somebody who does."""
        waiting = defaultdict[int, set[int]](set)
        for rank, others in self.for_whom.items():
            for other in others:
                waiting[other].add(rank)
        seen, open_ranks = set[int](), list(roots)
        while open_ranks:
            new = waiting[open_ranks.pop()] - seen
            seen |= new
            open_ranks += new
        return frozenset(seen)


def find_roots(graph: Graph, own: frozenset[int], dumps: Mapping[int, Dump]) -> tuple[frozenset[int], frozenset[int]]:
    """(the ranks that cause it, ranks that wait for one another so that none of them can be singled out)."""
    absent = frozenset(rank for wait in graph.waits for rank in wait.absent)
    roots = own | {rank for rank in absent if not graph.for_whom.get(rank)}
    while unexplained := absent - roots - graph.behind(roots):
        chosen = _from_circle(graph, unexplained, dumps)
        if not chosen:
            return roots, unexplained
        roots |= chosen
    return roots - _innocent(roots, graph, dumps), frozenset()


def _innocent(roots: frozenset[int], graph: Graph, dumps: Mapping[int, Dump]) -> frozenset[int]:
    """Ranks without a dump that may well wait like the others, as a rank whose dump convicts it is in their group."""
    convicted = roots & dumps.keys()
    return frozenset(rank for wait in graph.waits if wait.absent & convicted for rank in wait.members - dumps.keys())


def _from_circle(graph: Graph, circle: frozenset[int], dumps: Mapping[int, Dump]) -> frozenset[int]:
    """Of ranks that wait for one another: the fewest that most of a group wait for, else the one that stopped first.

    A rank that has left out a collective waits in the next one like everybody, and few wait for it where it is missing.
    """
    collective = [wait for wait in graph.waits if wait.absent & circle and not wait.is_p2p]
    fewest = min(collective, key=_reach, default=None)
    if fewest is not None and 2 * len(fewest.absent) < len(fewest.members):
        return fewest.absent & circle
    last = {rank: _last_ns(dumps[rank]) for rank in circle if rank in dumps}
    times = sorted((time, rank) for rank, time in last.items() if time is not None)
    if len(times) == len(circle) and any(wait.is_p2p for wait in graph.waits if wait.absent & circle):
        return frozenset({times[0][1]})
    return frozenset()


def _reach(wait: Wait) -> tuple[int, int, int]:
    """Fewest absent, then most members, then the oldest."""
    return len(wait.absent), -len(wait.members), min(one.created_ns or 0 for one in wait.waiting.values())


def _last_ns(dump: Dump) -> int | None:
    return max((one.created_ns for one in dump.operations if one.created_ns is not None), default=None)
