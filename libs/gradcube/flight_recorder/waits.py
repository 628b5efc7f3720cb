"""Who waits for whom: every pending operation that somebody has not joined."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from gradcube.flight_recorder.dumps import Dump
from gradcube.flight_recorder.groups import Group
from gradcube.flight_recorder.operations import SAME_ON_ALL, Operation
from gradcube.flight_recorder.standing import Standing


@dataclass(frozen=True)
class Wait:
    """`waiting` are in the operation, `absent` are not; `members` should be. `operation` is one rank's."""

    group: Group
    operation: Operation
    waiting: frozenset[int]
    absent: frozenset[int]
    members: frozenset[int]

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
        waiting = frozenset(by_rank) - idle
        absent = frozenset(_absent(standing, sequence)) | idle
        if absent and waiting:
            yield Wait(standing.group, by_rank[min(waiting)], waiting, absent, standing.members)


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
    sends, receives, sample = Counter[tuple[int, int]](), Counter[tuple[int, int]](), dict[object, Operation]()
    for own in standing.operations.values():
        for one in own:
            if one.pending and one.peers is not None:
                (sends if one.name == "send" else receives)[one.peers] += 1
                sample.setdefault((one.name, one.peers), one)
    for pair in sorted(sends.keys() | receives.keys()):
        if sends[pair] != receives[pair]:
            more_sends = sends[pair] > receives[pair]
            waiting, absent = pair if more_sends else pair[::-1]
            operation = sample["send" if more_sends else "recv", pair]
            yield Wait(standing.group, operation, frozenset({waiting}), frozenset({absent}), frozenset(pair))


def held_up(dumps: Mapping[int, Dump]) -> dict[int, frozenset[int]]:
    """For each rank, those who have its first pending operation on their queues as well, behind an earlier one.

    A GPU does what is on its queue one after the other.
    """
    heads = {rank: next((one for one in dump.operations if one.pending), None) for rank, dump in dumps.items()}
    sharing: dict[object, set[int]] = defaultdict(set)
    for dump in dumps.values():
        for one in dump.operations:
            if one.pending:
                sharing[one.identity].add(dump.rank)
    waits = {}
    for rank, head in heads.items():
        if head is not None:
            later = {other for other in sharing[head.identity] if _identity(heads[other]) != head.identity}
            waits[rank] = frozenset(later)
    return waits


def _identity(head: Operation | None) -> object:
    return None if head is None else head.identity


@dataclass(frozen=True)
class Differing:
    """`ranks` run `found[rank]` where most run `usual`; `ranks` is everybody in it when neither has the majority."""

    wait: Wait
    ranks: frozenset[int]
    usual: str
    found: Mapping[int, str]


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
    waiting = frozenset(said) - odd
    operation = by_rank[min(waiting or odd)][0]
    return Differing(Wait(standing.group, operation, waiting, odd, standing.members), odd, usual, said)
