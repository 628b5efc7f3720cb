"""One shard's life: versions of its range of the parameters, pushes of the live ranks, and the next version.

Synchronous: version v+1 is made when every rank of the current membership epoch has pushed a gradient of v.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import structlog
from numpy.typing import NDArray

from gradcube.sync.aggregate import square_sum, weighted_mean
from gradcube.sync.assignment import shard_range
from gradcube.sync.checkpoints import ShardIdentity, Snapshot
from gradcube.sync.exchange import Applied, Push, Reply, ShardCounters, ShardMembership
from gradcube.sync.frames import Header, Kind
from gradcube.sync.optimizers import Optimizer

log = structlog.get_logger(__name__)

FloatArray = NDArray[np.float32]


@dataclass
class _State:
    """The current version and the one before; both arrays are replaced, never written to."""

    version: int = -1
    parameters: int = 0
    values: FloatArray = field(default_factory=lambda: np.empty(0, np.float32))
    previous: FloatArray | None = None
    last: Applied | None = None


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
        self._state = _State()
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
                self._state, self._optimizer = _State(), self._make_optimizer()
                self._on_forgotten()
            self._membership = membership
            self._drop(list(self._pending.values()))
            self._changed.notify_all()

    def initialize(self, header: Header, values: FloatArray) -> Reply:
        """Sets version 0, unless there are parameters already."""
        with self._changed:
            if self._state.version < 0:
                self._state = _State(0, header.parameters, values.copy(), None, None)
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
            if version == state.version:
                return self._answer(Kind.PARAMETERS, state.values)
            if version == state.version - 1 and state.previous is not None:
                return self._answer(Kind.PARAMETERS, state.previous, version=version)
            return self._answer(Kind.STALE_VERSION)

    def versions(self) -> Reply:
        """What can be served at once, then what checkpoints can bring back."""
        with self._changed:
            state = self._state
            if state.version < 0:
                return self._answer(Kind.UNINITIALIZED)
            at_once = [state.version] + ([state.version - 1] if state.previous is not None else [])
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
            self._state = _State(snapshot.version, snapshot.parameters, snapshot.values)
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
        """Makes the next version.

        A mean gradient that is not finite, or of no weight, changes no parameter: the version advances all the
        same, so that all ranks go on to the next batch (the skip of OLMo), and it is counted.
        """
        started = time.monotonic()
        state = self._state
        pushes = tuple(self._pending[rank] for rank in sorted(self._pending))
        gradient = weighted_mean([push.gradient for push in pushes], [push.weight for push in pushes])
        gradient_square = square_sum(gradient)
        skipped = not np.isfinite(gradient_square) or not any(push.weight for push in pushes)
        values = state.values if skipped else state.values.copy()
        if not skipped:
            self._optimizer.step(values, gradient, pushes[0].learning_rate)
        applied = Applied(
            version=state.version + 1,
            attempt=self._membership.attempt,
            apply_seconds=time.monotonic() - started,
            queue_depth=len(pushes),
            pushes=pushes,
            dropped=tuple(self._dropped),
            skipped=skipped,
            gradient_square=gradient_square,
            update_square=square_sum(values - state.values),
            parameter_square=square_sum(values),
        )
        self._state = _State(applied.version, state.parameters, values, state.values, applied)
        self.counters.applied += 1
        self.counters.skipped += skipped
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
        state, last = self._state, self._state.last
        header = Header(
            kind,
            shard=self.identity.shard,
            epoch=self._membership.epoch,
            version=state.version if version is None else version,
            parameters=state.parameters,
            staleness=staleness,
        )
        if last is not None and kind is Kind.PARAMETERS:
            header = replace(
                header,
                gradient_square=last.gradient_square,
                update_square=last.update_square,
                parameter_square=last.parameter_square,
            )
        return Reply(header, values)
