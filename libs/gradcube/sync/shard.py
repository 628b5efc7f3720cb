"""One shard's life: pushes of the live ranks in, waits until all have pushed, and the next version out to each.

Synchronous: version v+1 is made when every rank of the current membership epoch has pushed a gradient of v.
`versions` has what is held and how the next version is computed; here is who waits for whom.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import structlog
from numpy.typing import NDArray

from gradcube.sync.assignment import shard_range
from gradcube.sync.checkpoints import ShardIdentity, Snapshot
from gradcube.sync.exchange import Applied, Push, Reply, ShardCounters, ShardMembership
from gradcube.sync.frames import Header, Kind
from gradcube.sync.optimizers import Optimizer
from gradcube.sync.versions import FloatArray, Versions, advance

log = structlog.get_logger(__name__)


class Shard:
    """Thread-safe. `on_applied` is called outside the lock, after the waiting pushes were woken.

    Why two versions: when a rank dies between shard A's update and shard B's, A holds v+1 and B still v. The
    survivors compute v again with their new slices; B applies them, A answers that v+1 is there. Both updates are of
    the same whole batch at the same parameters, so the trajectory stays exact. A rank that joins at that moment
    needs v from A too: hence the version before the current one is kept.
    """

    def __init__(
        self,
        identity: ShardIdentity,
        make_optimizer: Callable[[], Optimizer],
        *,
        wait_seconds: float = 30,
        snapshot_every: int = 0,
        on_applied: Callable[[Applied], None] = lambda _: None,
        on_unknown_epoch: Callable[[], None] = lambda: None,
        on_forgotten: Callable[[], None] = lambda: None,
        load: Callable[[int], Snapshot] | None = None,
        stored: Callable[[], list[int]] = list,
    ) -> None:
        self.identity = identity
        self.counters = ShardCounters()
        self._make_optimizer = make_optimizer
        self._optimizer = make_optimizer()
        self._wait_seconds, self._snapshot_every = wait_seconds, snapshot_every
        self._on_forgotten = on_forgotten
        self._on_applied, self._on_unknown_epoch = on_applied, on_unknown_epoch
        self._load, self._stored = load, stored
        self._membership = ShardMembership(0, (), attempt=0)
        self._state = Versions()
        self._pending: dict[int, Push] = {}
        self._dropped: list[Push] = []
        self._changed = threading.Condition()

    @property
    def version(self) -> int:
        """The current version, -1 without parameters."""
        return self._state.version

    @property
    def membership(self) -> ShardMembership:
        """The membership now."""
        return self._membership

    @property
    def num_parameters(self) -> int:
        """Values in this shard's range, 0 without parameters."""
        return self._state.values.size

    def set_membership(self, membership: ShardMembership) -> None:
        """Takes a newer epoch over: partial pushes of older ones are dropped and their senders told."""
        with self._changed:
            mine = self._membership
            # After a restart from a checkpoint the epoch is known, but not its ranks: then the same one is news.
            if membership.epoch < mine.epoch or (membership.epoch == mine.epoch and mine.ranks):
                return
            if membership.fresh_since > mine.fresh_since and mine.attempt > 0:
                self._state, self._optimizer = Versions(), self._make_optimizer()
                self._on_forgotten()
            self._membership = membership
            self._drop(list(self._pending.values()))
            self._changed.notify_all()

    def initialize(self, header: Header, values: FloatArray) -> Reply:
        """Sets version 0, unless there are parameters already."""
        with self._changed:
            if self._state.version < 0:
                self._state = Versions(0, header.parameters, values.copy())
                log.info("parameters_set", parameters=values.size, rank=header.rank)
            return self._answer(Kind.VERSION_LIST)

    @property
    def job_parameters(self) -> int:
        """Values of the whole job, 0 without parameters."""
        return self._state.parameters

    def expected_values(self, parameters: int) -> int:
        """Length of this shard's range when the job has `parameters`."""
        place = shard_range(parameters, self.identity.shards, self.identity.shard)
        return place.stop - place.start  # type: ignore[no-any-return]

    def get(self, version: int) -> Reply:
        """The parameters of `version`, when it is the current one or the one before."""
        with self._changed:
            state = self._state
            if state.version < 0:
                return self._answer(Kind.UNINITIALIZED)
            values = state.values_of(version)
            if values is not None:
                return self._answer(Kind.PARAMETERS, values, version=version)
            return self._answer(Kind.STALE_VERSION)

    def versions(self) -> Reply:
        """What can be served at once, then what checkpoints can bring back."""
        with self._changed:
            state = self._state
            if state.version < 0:
                return self._answer(Kind.UNINITIALIZED)
            at_once = state.at_once
            stored = [version for version in self._stored() if version < state.version]
            listed = np.array(at_once + stored, "<i8")
            return self._answer(Kind.VERSION_LIST, listed, staleness=len(at_once))

    def restore(self, header: Header) -> Reply:
        """Goes back to the checkpoint of `header.version`, if the shard is still where the caller saw it."""
        with self._changed:
            if self._load is None or self._state.version != header.staleness:
                return self._answer(Kind.STALE_VERSION)
            self.resume(self._load(header.version))
            self.counters.restored += 1
            log.warning("went_back_to_checkpoint", version=header.version, was=header.staleness, rank=header.rank)
            return self._answer(Kind.VERSION_LIST)

    def resume(self, snapshot: Snapshot) -> None:
        """Goes on from `snapshot`; waiting pushes of other versions are answered as stale."""
        with self._changed:
            optimizer = self._make_optimizer()
            optimizer.restore(snapshot.optimizer)
            self._optimizer = optimizer
            self._state = Versions(snapshot.version, snapshot.parameters, snapshot.values)
            if snapshot.epoch > self._membership.epoch:
                # No ranks: pushes wait until the coordinator has told who is there now.
                self._membership = ShardMembership(snapshot.epoch, (), snapshot.attempt, snapshot.fresh_since)
            self._drop(list(self._pending.values()))
            self._changed.notify_all()

    def snapshot(self) -> Snapshot | None:
        """The current version with a copy of the optimizer's state; None without parameters."""
        with self._changed:
            state, member = self._state, self._membership
            if state.version < 0:
                return None
            numbers = (state.version, member.epoch, member.attempt, member.fresh_since, state.parameters)
            return Snapshot(*numbers, values=state.values, optimizer=self._optimizer.state())

    def push(self, push: Push) -> Reply:
        """Adds a rank's gradient and waits for the next version, at most `wait_seconds` (then RETRY)."""
        with self._changed:
            reply, applied = self._push(replace(push, arrived_at=time.monotonic()))
        if applied is not None:
            self._on_applied(applied)
        return reply

    def _push(self, push: Push) -> tuple[Reply, Applied | None]:
        self.counters.pushes += 1
        deadline = time.monotonic() + self._wait_seconds
        if not self._await_epoch(push.epoch, deadline):
            return self._answer(Kind.RETRY), None
        refusal = self._verdict(push)
        if refusal is not None:
            if refusal.header.kind is Kind.MEMBERSHIP_CHANGED:
                self._drop([push])
            return refusal, None
        self._pending[push.rank] = push
        if set(self._pending) >= set(self._membership.ranks):
            applied = self._apply()
            return self._answer(Kind.PARAMETERS, self._state.values), applied
        self._changed.wait_for(lambda: self._pending.get(push.rank) is not push, deadline - time.monotonic())
        if self._pending.get(push.rank) is push:
            # The gradient's buffer goes back to its connection with the answer, so it may not stay here.
            del self._pending[push.rank]
            return self._answer(Kind.RETRY), None
        return self._verdict(push) or self._answer(Kind.RETRY), None

    def _await_epoch(self, epoch: int, deadline: float) -> bool:
        if epoch > self._membership.epoch:
            self._on_unknown_epoch()
        return self._changed.wait_for(
            lambda: epoch <= self._membership.epoch and bool(self._membership.ranks), deadline - time.monotonic()
        )

    def _verdict(self, push: Push) -> Reply | None:
        """The answer that `push` has without any waiting, or None when it is what the shard waits for."""
        state, member = self._state, self._membership
        if state.version < 0:
            return self._answer(Kind.UNINITIALIZED)
        if push.version == state.version - 1:
            return self._answer(Kind.PARAMETERS, state.values)
        if push.version != state.version:
            return self._answer(Kind.STALE_VERSION)
        if push.epoch < member.epoch or push.rank not in member.ranks:
            return self._answer(Kind.MEMBERSHIP_CHANGED)
        return None

    def _apply(self) -> Applied:
        pushes = tuple(self._pending[rank] for rank in sorted(self._pending))
        self._state, applied = advance(
            self._state, pushes, self._optimizer, attempt=self._membership.attempt, dropped=tuple(self._dropped)
        )
        self.counters.applied += 1
        self.counters.skipped += applied.skipped
        self._pending, self._dropped = {}, []
        self._changed.notify_all()
        if self._snapshot_every and applied.version % self._snapshot_every == 0:
            # Under the lock: shards must have checkpoints of the same versions.
            return replace(applied, snapshot=self.snapshot())
        return applied

    def _drop(self, pushes: list[Push]) -> None:
        self.counters.dropped += len(pushes)
        for push in pushes:
            self._pending.pop(push.rank, None)
            self._dropped.append(replace(push, gradient=push.gradient[:0]))
        del self._dropped[:-1000]  # without a single update nothing would ever take them

    def _answer(
        self,
        kind: Kind,
        values: NDArray[np.generic] | None = None,
        *,
        version: int | None = None,
        staleness: int = 0,
    ) -> Reply:
        header = self._state.header(kind, self.identity.shard, self._membership.epoch)
        if version is not None:
            header = replace(header, version=version)
        return Reply(replace(header, staleness=staleness), values)
