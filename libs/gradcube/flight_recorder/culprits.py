"""From waits to their causes: the ranks for which others wait, and which wait for nobody themselves."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gradcube.flight_recorder.dumps import Dump
from gradcube.flight_recorder.waits import Wait


@dataclass(frozen=True)
class Graph:
    """`for_whom[rank]` are the ranks that it waits for. Those in `own` have a cause of their own and wait for none."""

    waits: tuple[Wait, ...]
    for_whom: Mapping[int, frozenset[int]]

    @classmethod
    def of(cls, waits: Iterable[Wait], held_up: Mapping[int, frozenset[int]], own: frozenset[int]) -> "Graph":
        """Of each rank, the surest kind of wait that it has: for an absent one, for the other end, then `held_up`.

        The other end of a send may have finished it long ago, and a GPU may do two groups' operations side by side.
        """
        waits = tuple(waits)
        collective, p2p = defaultdict[int, set[int]](set), defaultdict[int, set[int]](set)
        for wait in waits:
            for rank in wait.waiting:
                (p2p if wait.is_p2p else collective)[rank] |= wait.absent
        ranks = (collective.keys() | p2p.keys() | held_up.keys()) - own
        surest = {rank: collective[rank] or p2p[rank] or held_up.get(rank, frozenset()) for rank in ranks}
        return cls(waits, {rank: frozenset(others) for rank, others in surest.items() if others})

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
    """Of ranks that wait for one another: the fewest that most others wait for, else the one that stopped first."""
    collective = [wait for wait in graph.waits if wait.absent & circle and not wait.is_p2p]
    fewest = min(
        collective, key=lambda wait: (len(wait.absent) / len(wait.members), wait.operation.sequence), default=None
    )
    if fewest is not None and 2 * len(fewest.absent) < len(fewest.members):
        return fewest.absent & circle
    last = {rank: _last_ns(dumps[rank]) for rank in circle if rank in dumps}
    times = sorted((time, rank) for rank, time in last.items() if time is not None)
    if len(times) == len(circle) and any(wait.is_p2p for wait in graph.waits if wait.absent & circle):
        return frozenset({times[0][1]})
    return frozenset()


def _last_ns(dump: Dump) -> int | None:
    return max((one.created_ns for one in dump.operations if one.created_ns is not None), default=None)
