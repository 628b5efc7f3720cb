"""One rank of a DDP training on gloo, as `test_ddp.py` starts it: ddp_worker.py '{"rank": 0, ...}'.

Trains once for each of its variants and writes DIRECTORY/RANK.json, for each: a hash of the parameters after training,
the gradient norms that the rank would have by itself, computed here, and the records of its monitor.
"""

import hashlib
import json
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import distributed
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.nn.parallel import DistributedDataParallel

import gradcube
from gradcube.events import decode

STEPS = 4
WIDTH = 560


class ListEmitter:
    """Keeps records; the monitor sees an emitter that takes everything."""

    def __init__(self) -> None:
        self.records: list[dict] = []

    def offer(self, topic: str, key: bytes, value: bytes) -> bool:
        self.records.append(decode(value)[1])
        return True

    def take_dropped(self, topic: str) -> int:
        return 0

    def stats(self) -> SimpleNamespace:
        n = len(self.records)
        return SimpleNamespace(offered=n, acknowledged=n, dropped=0, pending=0, pending_bytes=0, connected=True)

    def flush(self, timeout_seconds: float) -> bool:
        return True


def build() -> torch.nn.Module:
    torch.manual_seed(7)
    # Layers of 1.2 MB: several buckets of DDP's.
    layers = [torch.nn.Linear(WIDTH, WIDTH) for _ in range(3)]
    return torch.nn.Sequential(*layers, torch.nn.Linear(WIDTH, 1))


def batches(options: SimpleNamespace, step: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(100 * step + options.rank)
    return [torch.randn(4, WIDTH, generator=generator) for _ in range(options.accumulate)]


def loss_of(model: torch.nn.Module, batch: torch.Tensor) -> torch.Tensor:
    return model(batch).square().mean()


def own_norm(model: torch.nn.Module, options: SimpleNamespace, step: int) -> float:
    """The norm of the gradient that this rank would have by itself, from a copy that DDP knows nothing of."""
    alone = build()
    alone.load_state_dict(model.module.state_dict())
    for batch in batches(options, step):
        loss_of(alone, batch).backward()
    return torch.cat([p.grad.reshape(-1) for p in alone.parameters()]).norm().item()


def train(options: SimpleNamespace) -> dict:
    model = DistributedDataParallel(build(), bucket_cap_mb=1, gradient_as_bucket_view=options.views)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    emitter = ListEmitter()
    if options.foreign_hook:
        model.register_comm_hook(None, default_hooks.allreduce_hook)
    monitor = gradcube.Monitor(
        model, optimizer, job="ddp", rank=options.rank, attempt=0, node="n", emitter=emitter,
        enabled=options.monitored, gradient_statistics_every=1,
    )  # fmt: skip
    norms = []
    for step in range(STEPS):
        norms.append(own_norm(model, options, step))
        optimizer.zero_grad()
        micro = batches(options, step)
        for index, batch in enumerate(micro):
            with model.no_sync() if index < len(micro) - 1 else nullcontext():
                loss = loss_of(model, batch)
                loss.backward()
        optimizer.step()
        monitor.step(loss)
    monitor.close()
    parameters = torch.cat([p.detach().reshape(-1) for p in model.parameters()]).numpy()
    return {"parameters": hashlib.sha256(parameters.tobytes()).hexdigest(), "norms": norms, "records": emitter.records}


def main() -> None:
    options = SimpleNamespace(**json.loads(sys.argv[1]))
    torch.set_num_threads(1)
    directory = Path(options.directory)
    distributed.init_process_group(
        "gloo", init_method=f"file://{directory}/rendezvous", rank=options.rank, world_size=options.world
    )
    results = [train(SimpleNamespace(**vars(options) | variant)) for variant in options.variants]
    distributed.barrier()
    distributed.destroy_process_group()
    (directory / f"{options.rank}.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
