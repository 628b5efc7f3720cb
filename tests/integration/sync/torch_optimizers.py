"""torch's own optimizers by their functions: its optimizer classes load torch's compiler, seconds for each process."""

from typing import Protocol

import torch
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd


class Reference(Protocol):
    def step(self, rate: float) -> None: ...


class TorchSgd:
    def __init__(self, parameters: list[torch.Tensor], *, momentum: float, weight_decay: float) -> None:
        self._parameters, self._momentum, self._weight_decay = parameters, momentum, weight_decay
        self._buffers: list[torch.Tensor | None] = [None for _ in parameters]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        sgd(
            self._parameters,
            _gradients(self._parameters),
            self._buffers,
            weight_decay=self._weight_decay,
            momentum=self._momentum,
            lr=rate,
            dampening=0,
            nesterov=False,
            maximize=False,
        )


class TorchAdamW:
    def __init__(self, parameters: list[torch.Tensor], *, weight_decay: float) -> None:
        self._parameters, self._weight_decay = parameters, weight_decay
        self._means = [torch.zeros_like(each, requires_grad=False) for each in parameters]
        self._squares = [torch.zeros_like(each, requires_grad=False) for each in parameters]
        self._steps = [torch.tensor(0.0) for _ in parameters]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        adamw(
            self._parameters,
            _gradients(self._parameters),
            self._means,
            self._squares,
            [],
            self._steps,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=rate,
            weight_decay=self._weight_decay,
            eps=1e-8,
            maximize=False,
        )


def _gradients(parameters: list[torch.Tensor]) -> list[torch.Tensor]:
    return [each.grad for each in parameters if each.grad is not None]
