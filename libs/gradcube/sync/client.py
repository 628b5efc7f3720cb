"""The trainer's end of the parameter exchange: all shards at once, one flat float32 vector in and out."""

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradcube.errors import MembershipChanged, ProtocolError, StaleVersion, SyncError
from gradcube.sync.assignment import shard_range
from gradcube.sync.frames import Header, Kind
from gradcube.sync.shard_link import Answer, ShardLink

FloatArray = NDArray[np.float32]
DEFAULT_MAXIMUM_PARAMETERS = 2**31


@dataclass(frozen=True, slots=True)
class PushResult:
    """The version that a push led to. `parameters` (P,) is the client's buffer: valid until its next call.

    Norms are of the mean gradient, the update and the parameters over all shards. `sent_seconds` and
    `received_seconds` count from the start of the push to the last shard's end.
    """

    version: int
    parameters: FloatArray
    staleness: int
    global_grad_norm: float
    update_norm: float
    param_norm: float
    sent_seconds: float
    received_seconds: float


@dataclass(frozen=True, slots=True)
class _Held:
    """What a shard can serve: `versions` at once, `restorable` from its checkpoints."""

    parameters: int
    current: int
    versions: frozenset[int]
    restorable: frozenset[int]


class ParameterClient:
    """Talks to the shards at `addresses` ("host:port", by shard number) for `rank`; for one thread.

    Each call raises PeerLost when a shard has not answered for `timeout_seconds`, with reconnects in between;
    `locate`, when given, says where the shards are by then. Every rank must initialize with the same parameters
    (draw them from the job's seed), once the coordinator's assignment is ready.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        rank: int,
        timeout_seconds: float = 60,
        max_parameters: int = DEFAULT_MAXIMUM_PARAMETERS,
        locate: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        find = locate or (lambda: addresses)
        self._rank = rank
        self._max_parameters = max_parameters
        self._timeout_seconds = timeout_seconds
        self._links = [
            ShardLink(shard, lambda shard=shard: find()[shard], timeout_seconds)  # type: ignore[misc]
            for shard in range(len(addresses))
        ]
        self._pool = ThreadPoolExecutor(max(len(self._links), 1), thread_name_prefix="shard")
        self._received = np.empty(0, np.float32)

    def initialize(self, parameters: FloatArray) -> tuple[int, FloatArray]:
        """Sets `parameters` (P,) as version 0 where the job has none yet; (version, parameters) that count."""
        vector = _flat(parameters)
        pieces = [vector[shard_range(vector.size, len(self._links), shard)] for shard in range(len(self._links))]
        asks = [Header(Kind.INITIALIZE, rank=self._rank, parameters=vector.size)] * len(pieces)
        for held in map(_held, self._ask_all([Header(Kind.VERSIONS)] * len(pieces))):
            if held.current >= 0 and held.parameters != vector.size:
                raise SyncError(
                    f"the job has {held.parameters} parameters, this model {vector.size}: use another job name"
                )
        self._ask_all(asks, pieces)
        return self.get()

    def get(self) -> tuple[int, FloatArray]:
        """(version, parameters (P,)): the newest version that all shards can serve.

        Shards differ by one version when a membership changed between their updates: the shard ahead then still
        serves the older one. After a restart from a checkpoint they can differ by more: those ahead go back to the
        newest checkpoint that all have. Raises SyncError when there is none.
        """
        deadline = time.monotonic() + self._timeout_seconds
        while True:
            held = [_held(answer) for answer in self._ask_all([Header(Kind.VERSIONS)] * len(self._links))]
            self._allocate(held)
            version = _common(held)
            answers = self._restore(held, version) or self._fetch(version)
            if all(answer.header.kind is Kind.PARAMETERS for answer in answers):
                return version, self._received
            if time.monotonic() > deadline:
                raise StaleVersion(f"version {version} was overtaken on every try for {self._timeout_seconds} s")

    def push(
        self, gradient: FloatArray, *, version: int, epoch: int, weight: float, learning_rate: float
    ) -> PushResult:
        """Gives the gradient (P,) computed from `version` in `epoch`; returns when the next version is there.

        `weight` is its share in the mean (the number of predicted tokens). Pushing again what has been applied
        returns the current version. Raises MembershipChanged when the shards know a newer epoch: ask for the
        assignment and compute the same version again; StaleVersion when a shard is behind `version` (it restarted
        from a checkpoint) or far ahead: `get()` and go on from there; ValueError for a wrong shape or weight.
        """
        vector = _flat(gradient)
        if vector.size != self._received.size:
            raise ValueError(f"gradient has {vector.size} values, the job {self._received.size}: initialize first")
        if not (math.isfinite(weight) and weight >= 0 and math.isfinite(learning_rate)):
            raise ValueError(f"weight {weight}, learning rate {learning_rate}: finite, and the weight not below 0")
        started = time.monotonic()
        ask = Header(
            Kind.PUSH,
            epoch=epoch,
            version=version,
            rank=self._rank,
            parameters=vector.size,
            weight=weight,
            learning_rate=learning_rate,
        )
        answers = self._ask_all([ask] * len(self._links), self._pieces(vector), self._pieces(self._received))
        return _result(answers, version, self._received, started)

    def close(self) -> None:
        """Closes all connections."""
        for link in self._links:
            link.close()
        self._pool.shutdown(cancel_futures=True)

    def _fetch(self, version: int) -> list[Answer]:
        asks = [Header(Kind.GET, version=version, rank=self._rank)] * len(self._links)
        return self._ask_all(asks, None, self._pieces(self._received))

    def _restore(self, held: Sequence[_Held], version: int) -> list[Answer]:
        """Takes shards that hold `version` only as a checkpoint back to it; [] when there was nothing to do.

        The version that the shard was seen at goes along, so that a late request cannot undo what came after.
        """
        behind = [shard for shard, holds in enumerate(held) if version not in holds.versions]
        return [
            self._links[shard].ask(
                Header(Kind.RESTORE, version=version, staleness=held[shard].current, rank=self._rank)
            )
            for shard in behind
        ]

    def _allocate(self, held: Sequence[_Held]) -> None:
        sizes = {holds.parameters for holds in held}
        size = sizes.pop()
        if sizes:
            raise SyncError(
                f"shards disagree on the number of parameters: {sorted({size, *sizes})}: restart them together"
            )
        if size > self._max_parameters:
            raise ProtocolError(f"shards announce {size} parameters, at most {self._max_parameters} are allowed")
        if self._received.size != size:
            self._received = np.empty(size, np.float32)

    def _pieces(self, vector: FloatArray) -> list[FloatArray]:
        return [vector[shard_range(vector.size, len(self._links), shard)] for shard in range(len(self._links))]

    def _ask_all(
        self,
        asks: Sequence[Header],
        payloads: Sequence[FloatArray] | None = None,
        targets: Sequence[FloatArray] | None = None,
    ) -> list[Answer]:
        nothing: list[FloatArray | None] = [None] * len(self._links)
        jobs = list(zip(self._links, asks, payloads or nothing, targets or nothing, strict=True))
        if len(jobs) == 1:
            link, ask, payload, target = jobs[0]
            return [link.ask(ask, payload, target)]
        futures = [self._pool.submit(link.ask, ask, payload, target) for link, ask, payload, target in jobs]
        wait(futures)  # all of them: a link serves one request at a time
        return [future.result() for future in futures]


def _flat(vector: FloatArray) -> FloatArray:
    if vector.ndim != 1 or vector.size == 0:
        raise ValueError(f"array of shape {vector.shape}: one flat vector is needed")
    return np.ascontiguousarray(vector, np.float32)


def _held(answer: Answer) -> _Held:
    header = answer.header
    if header.kind is Kind.UNINITIALIZED:
        return _Held(0, -1, frozenset(), frozenset())
    if header.kind is not Kind.VERSION_LIST or len(answer.payload) % 8:
        raise ProtocolError(f"{header.kind.name} in answer to VERSIONS")
    versions = np.frombuffer(answer.payload, "<i8").tolist()
    servable = frozenset(versions[: header.staleness])
    return _Held(header.parameters, header.version, servable, frozenset(versions))


def _common(held: Sequence[_Held]) -> int:
    empty = [shard for shard, holds in enumerate(held) if holds.current < 0]
    if empty:
        raise SyncError(f"shards {empty} have no parameters and no checkpoint: start the job again, or initialize")
    common = frozenset.intersection(*(holds.restorable for holds in held))
    if not common:
        versions = [sorted(holds.restorable) for holds in held]
        raise SyncError(f"shards have no version in common (by shard: {versions}): restore their checkpoints together")
    return max(common)


def _result(answers: Sequence[Answer], version: int, parameters: FloatArray, started: float) -> PushResult:
    headers = [answer.header for answer in answers]
    kinds = {header.kind for header in headers}
    epoch = max(header.epoch for header in headers)
    if Kind.MEMBERSHIP_CHANGED in kinds:
        raise MembershipChanged(f"membership is at epoch {epoch}: compute version {version} again with its assignment")
    versions = sorted({header.version for header in headers})
    if kinds != {Kind.PARAMETERS} or len(versions) != 1:
        raise StaleVersion(f"gradient of version {version}, shards are at {versions}: get() and go on from there")
    return PushResult(
        version=versions[0],
        parameters=parameters,
        staleness=max(header.staleness for header in headers),
        global_grad_norm=math.sqrt(sum(header.gradient_square for header in headers)),
        update_norm=math.sqrt(sum(header.update_square for header in headers)),
        param_norm=math.sqrt(sum(header.parameter_square for header in headers)),
        sent_seconds=max(answer.sent_at for answer in answers) - started,
        received_seconds=time.monotonic() - started,
    )
