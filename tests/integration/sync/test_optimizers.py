"""Optimizers against torch's, and whole trajectories against one process."""

import threading
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from tests.integration.sync.torch_optimizers import Reference, TorchAdamW, TorchSgd
from tests.unit.sync.harness import Cluster, cluster, threads
from torch import nn

from gradcube.errors import ConfigError, DataError
from gradcube.sync.assignment import global_batch, member_slice
from gradcube.sync.optimizers import AdamW, Optimizer, Sgd, build_optimizer
from gradcube.sync.torch_adapter import FlatModel

PAIRS: list[tuple[Callable[[], Optimizer], Callable[[list[torch.Tensor]], Reference]]] = [
    (lambda: Sgd(momentum=0.9, weight_decay=0.01), lambda p: TorchSgd(p, momentum=0.9, weight_decay=0.01)),
    (lambda: Sgd(momentum=0.0), lambda p: TorchSgd(p, momentum=0.0, weight_decay=0.0)),
    (lambda: AdamW(weight_decay=0.1), lambda p: TorchAdamW(p, weight_decay=0.1)),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_fifty_steps_equal_torch(
    ours: Callable[[], Optimizer], theirs: Callable[[list[torch.Tensor]], Reference]
) -> None:
    random = np.random.default_rng(7)
    parameters = random.normal(size=70_001).astype(np.float32)  # more than one block
    tensor = torch.tensor(parameters.copy())
    optimizer, reference = ours(), theirs([tensor])
    for step in range(50):
        gradient = random.normal(size=parameters.size).astype(np.float32)
        rate = 0.1 / (1 + step)
        tensor.grad = torch.tensor(gradient)
        reference.step(rate)
        optimizer.step(parameters, gradient, rate)
    np.testing.assert_allclose(parameters, tensor.numpy(), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("make", [Sgd, AdamW])
def test_restored_state_goes_on_as_if_never_stopped(make: Callable[[], Optimizer]) -> None:
    gradient = np.linspace(-1, 1, 11, dtype=np.float32)
    straight, first, second = np.ones(11, np.float32), make(), make()
    for _ in range(3):
        first.step(straight, gradient, 0.1)
    resumed = straight.copy()
    second.restore(first.state())
    first.step(straight, gradient, 0.1)
    second.step(resumed, gradient, 0.1)
    assert np.array_equal(straight, resumed)


def test_state_of_another_optimizer_is_refused() -> None:
    with pytest.raises(DataError, match="velocity"):
        AdamW().restore({"velocity": np.ones(3, np.float32)})


def test_an_unknown_optimizer_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="sgd or adamw"):
        build_optimizer("adagrad", weight_decay=0)


SEEDED = threading.Lock()


def model() -> nn.Module:
    """The same weights at each call, also from several threads: torch's generator is one for all of them."""
    with SEEDED:
        torch.manual_seed(3)
        return build()


def build() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1))


def loss_sum(net: nn.Module, data: torch.Tensor) -> torch.Tensor:
    return ((net(data).squeeze(1) - data.sum(1)) ** 2).sum()


def worker(made: Cluster, rank: int, ranks: list[int], data: torch.Tensor, steps: int) -> np.ndarray:
    net = model()
    flat = FlatModel(net)
    with made.client(rank) as client:
        version, parameters = client.initialize(flat.parameters())
        while version < steps:
            flat.load(parameters)
            batch = global_batch(version, samples=len(data), batch_size=13, seed=1)
            own = member_slice(batch, ranks, rank)
            flat.zero_gradient()
            (loss_sum(net, data[torch.from_numpy(own)]) / len(own)).backward()
            result = client.push(flat.gradient(), version=version, epoch=1, weight=len(own), learning_rate=0.01)
            version, parameters = result.version, result.parameters
        return parameters.copy()


@pytest.mark.parametrize("shards", [1, 2])
def test_three_workers_train_as_one_process_with_the_whole_batch(shards: int) -> None:
    data = torch.from_numpy(np.random.default_rng(5).normal(size=(60, 5)).astype(np.float32))
    net = model()
    reference = TorchAdamW(list(net.parameters()), weight_decay=0.01)
    for step in range(20):
        batch = global_batch(step, samples=60, batch_size=13, seed=1)
        net.zero_grad()
        (loss_sum(net, data[torch.from_numpy(batch)]) / 13).backward()
        reference.step(0.01)
    expected = torch.cat([p.detach().flatten() for p in net.parameters()]).numpy()
    with cluster(shards, (0, 1, 2), make_optimizer=AdamW) as made, threads(3) as run:
        results = [run(partial(worker, made, rank, [0, 1, 2], data, 20)) for rank in range(3)]
        for result in results:
            np.testing.assert_allclose(result.result(), expected, rtol=1e-4, atol=1e-5)


def test_flat_model_brings_gradients_home_that_backward_allocated_anew() -> None:
    net = model()
    flat = FlatModel(net)
    net.zero_grad(set_to_none=True)
    loss_sum(net, torch.ones(2, 5)).backward()
    expected = torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None]).numpy()
    assert np.array_equal(flat.gradient(), expected)
    assert np.any(expected)
    flat.zero_gradient()
    assert not np.any(flat.gradient())
