"""Who waits for whom: every pending operation that somebody has not joined."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from gradcube.flight_recorder.groups import Group
from gradcube.flight_recorder.operations import SAME_ON_ALL, Operation
from gradcube.flight_recorder.standing import Standing


@dataclass(frozen=True)
class Wait:
    """`absent` ranks are not in an operation that should have all `members`; `waiting` are, each by its record."""

    group: Group
    waiting: Mapping[int, Operation]
    absent: frozenset[int]
    members: frozenset[int]

    @property
    def operation(self) -> Operation:
        """The record of the first of those who wait."""
        return self.waiting[min(self.waiting)]

    @property
    def is_p2p(self) -> bool:
        """A send or receive, which only two ranks share."""
        return self.operation.is_p2p


def collective_waits(standing: Standing) -> Iterator[Wait]:
    """The first pending collective of each rank, where a member has not entered it."""
    first: dict[int, dict[int, Operation]] = defaultdict(dict)
    for rank in standing.operations:
        for one in standing.pending(rank)[:1]:
            first[one.sequence][rank] = one
    for sequence, by_rank in sorted(first.items()):
        begun = {rank for rank, one in by_rank.items() if one.state == "started"}
        idle = {rank for rank, one in by_rank.items() if begun and standing.timed[rank] and one.state == "scheduled"}
        waiting = {rank: one for rank, one in by_rank.items() if rank not in idle}
        absent = frozenset(_absent(standing, sequence)) | idle
        if absent and waiting:
            yield Wait(standing.group, waiting, absent, standing.members)


def _absent(standing: Standing, sequence: int) -> Collection[int]:
    """Ranks whose dumps say so; if there are none, those without a dump that nobody has seen go further."""
    late = {rank for rank, entered in standing.entered.items() if entered < sequence} - standing.older
    if late or max(standing.finished.values(), default=-1) >= sequence:
        return late
    return standing.members - standing.entered.keys()


def p2p_waits(standing: Standing) -> Iterator[Wait]:
    """Sends without their receive, and receives without their send, by pair of ranks.

    Both ends count a pair's operations in the same order, so of the pending ones those beyond the other end's number
    have no counterpart.
    """
    pending: dict[tuple[int, int], tuple[list[Operation], list[Operation]]] = defaultdict(lambda: ([], []))
    for own in standing.operations.values():
        for one in own:
            if one.pending and one.peers is not None:
                pending[one.peers][one.name == "recv"].append(one)
    for (sender, receiver), (sends, receives) in sorted(pending.items()):
        if len(sends) > len(receives):
            unmatched, absent = sends[len(receives)], receiver
        elif len(receives) > len(sends):
            unmatched, absent = receives[len(sends)], sender
        else:
            continue
        yield Wait(standing.group, {unmatched.rank: unmatched}, frozenset({absent}), frozenset({sender, receiver}))


@dataclass(frozen=True)
class Differing:
    """`ranks` run `found[rank]` where most run `usual`; everybody in it when neither has the majority.

    `operations` has the first record of each.
    """

    standing: Standing
    operations: Mapping[int, Operation]
    ranks: frozenset[int]
    usual: str
    found: Mapping[int, str]

    @property
    def wait(self) -> Wait | None:
        """The majority waits for the others; None without a majority."""
        waiting = {rank: one for rank, one in self.operations.items() if rank not in self.ranks}
        return Wait(self.standing.group, waiting, self.ranks, self.standing.members) if waiting else None

    @property
    def operation(self) -> Operation:
        """The record of the first rank, of the majority if there is one."""
        return self.operations[min(self.operations.keys() - self.ranks or self.operations)]


def differing(standing: Standing) -> Differing | None:
    """The group's first pending collective that its ranks did not all enter with the same operation, if there is one.

    Compared are the kinds, and the sizes and types where these must agree (SAME_ON_ALL).
    """
    by_sequence: dict[int, dict[int, list[Operation]]] = defaultdict(lambda: defaultdict(list))
    for rank in standing.operations:
        for one in standing.pending(rank):
            by_sequence[one.sequence][rank].append(one)
    for _, by_rank in sorted(by_sequence.items()):
        said = {rank: _signature(own) for rank, own in by_rank.items()}
        if len(set(said.values())) > 1:
            return _odd_ones(standing, by_rank, said)
    return None


def _signature(operations: list[Operation]) -> str:
    """`all_reduce of 120 Float`; a coalesced collective is the list of its parts."""
    if len(operations) > 1:
        return " + ".join(sorted(one.name for one in operations))
    (one,) = operations
    comparable = one.name in SAME_ON_ALL and one.sizes
    return f"{one.name} of {one.sizes}" if comparable else one.name


def _odd_ones(standing: Standing, by_rank: Mapping[int, list[Operation]], said: Mapping[int, str]) -> Differing:
    usual, most = Counter(said.values()).most_common(1)[0]
    odd = frozenset(rank for rank, text in said.items() if text != usual)
    if most <= len(odd):
        odd = frozenset(said)
    return Differing(standing, {rank: own[0] for rank, own in by_rank.items()}, odd, usual, said)
