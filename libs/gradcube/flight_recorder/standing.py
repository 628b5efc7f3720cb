"""Where each rank stands in one process group: what it entered, what it finished, what it has pending."""

import heapq
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from gradcube.flight_recorder.dumps import Dump
from gradcube.flight_recorder.groups import Group
from gradcube.flight_recorder.operations import ROOTED, Operation


@dataclass
class Standing:
    """One group. `members` are its ranks, with or without a dump; the dicts have an entry for ranks with one.

    The dumps of `older` ranks were written earlier than others, so that they say nothing about the hang.
    """

    group: Group
    members: frozenset[int]
    operations: dict[int, list[Operation]] = field(default_factory=dict)
    entered: dict[int, int] = field(default_factory=dict)
    finished: dict[int, int] = field(default_factory=dict)
    timed: dict[int, bool] = field(default_factory=dict)
    older: frozenset[int] = frozenset()

    def pending(self, rank: int) -> list[Operation]:
        """The collectives that a rank has on its queue, oldest first."""
        return [one for one in self.operations.get(rank, ()) if one.pending and not one.is_p2p]

    def is_overtaken(self, rank: int) -> bool:
        """Others finished with the rank what it has not entered, so its dump was written before theirs."""
        return not self.may_lag and self.furthest(rank) > self.entered[rank]

    @cached_property
    def may_lag(self) -> bool:
        """One rank may finish what another has not entered: a collective with a root, or one not known."""
        names = {one.name for own in self.operations.values() for one in own if not one.is_p2p}
        return not names or bool(names & ROOTED)

    @cached_property
    def _two_furthest(self) -> list[tuple[int, int]]:
        return heapq.nlargest(2, ((done, rank) for rank, done in self.finished.items()))

    def furthest(self, rank: int) -> int:
        """The last collective that any other rank has finished, -1 for none."""
        return next((done for done, other in self._two_furthest if other != rank), -1)

    def lag(self, rank: int) -> int:
        """How many collectives the rank has finished less than any other."""
        return self.furthest(rank) - self.finished[rank]

    def stopped(self, rank: int) -> bool:
        """The rank does not see what has happened on its own GPU.

        Peers have finished a collective that needs something from everybody, and an earlier one of these is still
        pending here. The GPU does them in order, so it has done the earlier one, and nobody on the rank has noticed:
        a failed GPU answers no more, or the watchdog stands still.
        """
        return len({one.sequence for one in self.overtaken(rank)}) >= 2 and rank not in self.older

    def overtaken(self, rank: int) -> list[Operation]:
        """Pending collectives that need something from everybody and that another rank has finished."""
        furthest = self.furthest(rank)
        return [one for one in self.pending(rank) if one.name not in ROOTED and one.sequence <= furthest]


def stand(dumps: Mapping[int, Dump]) -> list[Standing]:
    """Every group of at least two ranks that has something pending."""
    members, groups = defaultdict[str, set[int]](set), dict[str, Group]()
    operations = defaultdict[str, dict[int, list[Operation]]](dict)
    for dump in dumps.values():
        for group in (*dump.groups, *(one.group for one in dump.operations)):
            if group.key not in groups:
                groups[group.key] = group
                members[group.key].update(group.ranks)
            members[group.key].add(dump.rank)
        for one in dump.operations:
            operations[one.group.key].setdefault(dump.rank, []).append(one)
    all_standings = [
        _standing(groups[key], frozenset(ranks), operations[key], dumps)
        for key, ranks in members.items()
        if len(ranks) > 1
    ]
    older = frozenset(rank for one in all_standings for rank in one.entered if one.is_overtaken(rank))
    busy = [one for one in all_standings if any(each.pending for own in one.operations.values() for each in own)]
    for standing in busy:
        standing.older = older
    return busy


def _standing(
    group: Group, members: frozenset[int], operations: dict[int, list[Operation]], dumps: Mapping[int, Dump]
) -> Standing:
    standing = Standing(group, members, operations)
    # pg_status counts sends and receives in the same field, so it says nothing in a group that has them.
    counts = not any(one.is_p2p for own in operations.values() for one in own)
    for rank in members & dumps.keys():
        dump, own = dumps[rank], operations.get(rank, [])
        told = dump.progress.get(group.key, dump.unnamed)
        done = [one.sequence for one in own if not one.pending and not one.is_p2p]
        standing.entered[rank] = max([one.sequence for one in own] + [told.entered] * counts, default=-1)
        standing.finished[rank] = max(done + [told.finished] * counts, default=-1)
        standing.timed[rank] = dump.timed
    return standing
