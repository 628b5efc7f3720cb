"""Real shard servers and clients in this process, on free ports."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gradcube.sync.checkpoints import ShardIdentity
from gradcube.sync.client import ParameterClient
from gradcube.sync.exchange import Applied, ShardMembership
from gradcube.sync.optimizers import Optimizer, Sgd
from gradcube.sync.server import ShardServer
from gradcube.sync.shard import Shard
from gradcube.sync.transport import TcpListener

T = TypeVar("T")
PARAMETERS = 103


@dataclass
class Cluster:
    shards: list[Shard]
    servers: list[ShardServer]
    addresses: list[str]
    applied: list[Applied]

    def members(self, epoch: int, ranks: Sequence[int], *, only: Sequence[int] | None = None) -> None:
        for number, shard in enumerate(self.shards):
            if only is None or number in only:
                shard.set_membership(ShardMembership(epoch, tuple(ranks)))

    @contextmanager
    def client(self, rank: int, timeout_seconds: float = 10) -> Iterator[ParameterClient]:
        client = ParameterClient(self.addresses, rank=rank, timeout_seconds=timeout_seconds)
        try:
            yield client
        finally:
            client.close()


@contextmanager
def cluster(
    shards: int = 1,
    ranks: Sequence[int] = (0,),
    *,
    make_optimizer: Callable[[], Optimizer] = lambda: Sgd(momentum=0.0),
    wait_seconds: float = 10,
) -> Iterator[Cluster]:
    made = Cluster([], [], [], [])
    for number in range(shards):
        identity = ShardIdentity("job", number, shards)
        shard = Shard(identity, make_optimizer, wait_seconds=wait_seconds, on_applied=made.applied.append)
        listener = TcpListener("127.0.0.1", 0)
        made.shards.append(shard)
        made.servers.append(ShardServer(shard, listener, max_parameters=100_000, frame_timeout_seconds=2))
        made.addresses.append(f"127.0.0.1:{listener.port}")
        made.servers[-1].start()
    made.members(1, ranks)
    try:
        yield made
    finally:
        for server in made.servers:
            server.close()


def vector(value: float, size: int = PARAMETERS) -> NDArray[np.float32]:
    return np.full(size, value, np.float32)


@contextmanager
def threads(count: int) -> Iterator[Callable[[Callable[[], T]], "Future[T]"]]:
    with ThreadPoolExecutor(count) as pool:
        yield lambda call: pool.submit(call)
