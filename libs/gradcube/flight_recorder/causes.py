"""What the job hangs on: the root causes among everybody who waits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gradcube.flight_recorder.culprits import Graph, find_roots
from gradcube.flight_recorder.dumps import Dump
from gradcube.flight_recorder.operations import Operation
from gradcube.flight_recorder.standing import Standing, stand
from gradcube.flight_recorder.waits import Differing, Wait, collective_waits, differing, p2p_waits

Reason = Literal["absent", "stopped", "differs", "silent", "disagree", "circle", "nobody"]


@dataclass(frozen=True)
class Cause:
    """One root cause. `ranks` is the culprit, or all those among which it cannot be told; `behind` wait for it.

    `operation` is what is waited for, or what the culprit no longer sees finished; `reached` and `others` are the last
    sequence numbers of the culprit and of its peers, entered or, for "stopped", finished; None where not recorded.
    """

    reason: Reason
    ranks: tuple[int, ...]
    operation: Operation
    behind: frozenset[int]
    members: int
    reached: int | None = None
    others: int | None = None
    said: tuple[str, str] = ("", "")


def find_causes(dumps: Mapping[int, Dump]) -> list[Cause]:
    """By rank; causes that no single rank can be blamed for come last."""
    standings = stand(dumps)
    different = [found for found in (differing(standing) for standing in standings) if found is not None]
    waits = [wait for standing in standings for wait in (*collective_waits(standing), *p2p_waits(standing))]
    waits += [found.wait for found in different if found.wait is not None]
    odd = {rank: found for found in reversed(different) if found.wait is not None for rank in found.ranks}
    stopped = {rank: standing for standing in standings for rank in standing.entered if standing.stopped(rank)}
    own = frozenset(odd) | frozenset(stopped)
    graph = Graph.of(dumps, standings, waits, own)
    roots, circle = find_roots(graph, own, dumps)
    silent = roots - dumps.keys()
    causes = [
        _differs(rank, odd[rank], graph) if rank in odd else _absent_or_stopped(rank, standings, graph)
        for rank in sorted(roots - silent)
    ]
    causes += _silent(silent, graph, dumps)
    causes += [_disagree(found) for found in different if found.wait is None]
    causes += [_circle(circle, graph)] if circle else []
    return causes or _nobody(standings)


def _absent_or_stopped(rank: int, standings: list[Standing], graph: Graph) -> Cause:
    """What the most ranks wait in says it best; what nobody waits in has been finished by all but this rank."""
    behind = graph.behind([rank])
    wait = _widest(rank, graph)
    if wait is None:
        standing = max(
            (one for one in standings if rank in one.entered and one.stopped(rank)), key=lambda one: one.lag(rank)
        )
        operation, own, others = standing.pending(rank)[0], standing.finished[rank], standing.furthest(rank)
        return Cause("stopped", (rank,), operation, behind, len(standing.members), own, others)
    reached = next(one.entered.get(rank) for one in standings if one.group.key == wait.group.key)
    own_number = None if wait.is_p2p else reached
    return Cause("absent", (rank,), wait.operation, behind, len(wait.members), own_number, wait.operation.sequence)


def _widest(rank: int, graph: Graph) -> Wait | None:
    concerned = [wait for wait in graph.waits if rank in wait.absent]
    return max(
        concerned,
        key=lambda wait: (
            not wait.is_p2p,
            len(wait.waiting),
            -(wait.operation.created_ns or 0),
            -wait.operation.sequence,
        ),
        default=None,
    )


def _differs(rank: int, found: Differing, graph: Graph) -> Cause:
    said, members = (found.found[rank], found.usual), len(found.standing.members)
    return Cause("differs", (rank,), found.operation, graph.behind([rank]), members, said=said)


def _disagree(found: Differing) -> Cause:
    first, second = sorted(set(found.found.values()))[:2]
    members = len(found.standing.members)
    return Cause("disagree", tuple(sorted(found.ranks)), found.operation, found.ranks, members, said=(first, second))


def _silent(silent: frozenset[int], graph: Graph, dumps: Mapping[int, Dump]) -> list[Cause]:
    """A few ranks without a dump are suspects; when most are without, it is the dumps that are incomplete."""
    if len(silent) > len(dumps):
        return [_of_silent(tuple(sorted(silent)), graph)]
    return [_of_silent((rank,), graph) for rank in sorted(silent)]


def _of_silent(ranks: tuple[int, ...], graph: Graph) -> Cause:
    wait = _widest(ranks[0], graph)
    assert wait is not None, "a rank without a dump is known only as absent from somewhere"
    return Cause("silent", ranks, wait.operation, graph.behind(ranks), len(wait.members))


def _circle(circle: frozenset[int], graph: Graph) -> Cause:
    wait = _widest(min(circle), graph)
    assert wait is not None, "ranks of a circle are absent from somewhere"
    return Cause("circle", tuple(sorted(circle)), wait.operation, graph.behind(circle), len(wait.members))


def _nobody(standings: list[Standing]) -> list[Cause]:
    """Everybody is in, and it timed out: the network or a GPU between them, which the dumps cannot tell."""
    late = [one for standing in standings for own in standing.operations.values() for one in own if one.timed_out]
    if not late:
        return []
    first = min(late, key=lambda one: (one.created_ns or 0, one.sequence))
    standing = next(one for one in standings if one.group.key == first.group.key)
    return [Cause("nobody", tuple(sorted(standing.entered)), first, standing.members, len(standing.members))]
