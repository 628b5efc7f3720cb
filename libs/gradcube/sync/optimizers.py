"""SGD and AdamW in numpy, in place and block by block; the same arithmetic as torch.optim's."""

from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gradcube.errors import ConfigError, DataError

FloatArray = NDArray[np.float32]
_BLOCK = 65_536  # values: a block of every array stays in the cache through all passes


class Optimizer(Protocol):
    """Changes `parameters` (P,) in place by one step; `state` is what a checkpoint must keep."""

    def step(self, parameters: FloatArray, gradient: FloatArray, learning_rate: float) -> None:
        """One update."""

    def state(self) -> dict[str, FloatArray]:
        """Copies of the state, by name; empty before the first step."""

    def restore(self, state: Mapping[str, FloatArray]) -> None:
        """Goes on from `state`. Raises DataError when it is another optimizer's."""


class Sgd:
    """Stochastic gradient descent with momentum, as torch.optim.SGD (weight decay added to the gradient)."""

    def __init__(self, *, momentum: float = 0.9, weight_decay: float = 0.0) -> None:
        self._momentum = momentum
        self._weight_decay = weight_decay
        self._velocity: FloatArray | None = None

    def step(self, parameters: FloatArray, gradient: FloatArray, learning_rate: float) -> None:
        """See Optimizer."""
        if self._velocity is None:
            self._velocity = np.zeros_like(parameters)
        for block in _blocks(parameters.size):
            velocity = self._velocity[block]
            velocity *= np.float32(self._momentum)
            velocity += gradient[block]
            if self._weight_decay:
                velocity += np.float32(self._weight_decay) * parameters[block]
            parameters[block] -= np.float32(learning_rate) * velocity

    def state(self) -> dict[str, FloatArray]:
        """See Optimizer."""
        return {} if self._velocity is None else {"velocity": self._velocity.copy()}

    def restore(self, state: Mapping[str, FloatArray]) -> None:
        """See Optimizer."""
        _expect(state, {"velocity"})
        self._velocity = state["velocity"].copy() if state else None


class AdamW:
    """Adam with decoupled weight decay and bias correction, as torch.optim.AdamW (Loshchilov, Hutter 2019)."""

    def __init__(
        self, *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8, weight_decay: float = 0.01
    ) -> None:
        self._beta1, self._beta2, self._epsilon = beta1, beta2, epsilon
        self._weight_decay = weight_decay
        self._steps = 0
        self._mean: FloatArray | None = None
        self._square: FloatArray | None = None

    def step(self, parameters: FloatArray, gradient: FloatArray, learning_rate: float) -> None:
        """See Optimizer."""
        if self._mean is None or self._square is None:
            self._mean, self._square = np.zeros_like(parameters), np.zeros_like(parameters)
        self._steps += 1
        step_size = np.float32(learning_rate / (1 - self._beta1**self._steps))
        root_correction = np.float32((1 - self._beta2**self._steps) ** 0.5)
        for block in _blocks(parameters.size):
            mean, square, piece = self._mean[block], self._square[block], gradient[block]
            parameters[block] *= np.float32(1 - learning_rate * self._weight_decay)
            mean += np.float32(1 - self._beta1) * (piece - mean)
            square *= np.float32(self._beta2)
            square += np.float32(1 - self._beta2) * piece * piece
            denominator = np.sqrt(square) / root_correction + np.float32(self._epsilon)
            parameters[block] -= step_size * mean / denominator

    def state(self) -> dict[str, FloatArray]:
        """See Optimizer."""
        if self._mean is None or self._square is None:
            return {}
        # float32 counts exactly to 16 million steps
        return {
            "mean": self._mean.copy(),
            "square": self._square.copy(),
            "steps": np.array([self._steps], np.float32),
        }

    def restore(self, state: Mapping[str, FloatArray]) -> None:
        """See Optimizer."""
        _expect(state, {"mean", "square", "steps"})
        self._mean = state["mean"].copy() if state else None
        self._square = state["square"].copy() if state else None
        self._steps = int(state["steps"][0]) if state else 0


def build_optimizer(name: str, *, weight_decay: float) -> Optimizer:
    """The optimizer called "sgd" or "adamw". Raises ConfigError for another name."""
    if name == "sgd":
        return Sgd(weight_decay=weight_decay)
    if name == "adamw":
        return AdamW(weight_decay=weight_decay)
    raise ConfigError(f"optimizer {name!r} is not known: sgd or adamw")


def _blocks(size: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, size, _BLOCK))


def _expect(state: Mapping[str, FloatArray], names: set[str]) -> None:
    if state and set(state) != names:
        raise DataError(
            f"optimizer state holds {sorted(state)}, expected {sorted(names)}: start with the same optimizer"
        )
