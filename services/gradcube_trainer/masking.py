"""Masked language modelling (Devlin et al., 2019, section 3.1): samples come in, inputs and labels go out.

A sample's mask follows from (seed, step, sample) alone: whoever computes it, the batch is the same.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradcube_trainer.wordpiece import MASK, PAD, SPECIAL_TOKENS

MASKED_RATIO = 0.15
MASK_TOKEN_RATIO, RANDOM_TOKEN_RATIO = 0.8, 0.1
IGNORED = -100
"""Label of a token that is not predicted."""


@dataclass(frozen=True)
class Batch:
    """What one rank computes in one step: `inputs` and `labels` are (samples, length) int64."""

    inputs: NDArray[np.int64]
    labels: NDArray[np.int64]

    @property
    def predicted(self) -> int:
        """Number of tokens to predict: the batch's weight in the mean gradient."""
        return int((self.labels != IGNORED).sum())

    @property
    def tokens(self) -> int:
        """Number of tokens, padding left out."""
        return int((self.inputs != PAD).sum())


def masked_batch(
    samples: NDArray[np.int32], numbers: NDArray[np.int64], *, seed: int, step: int, vocabulary_size: int
) -> Batch:
    """The samples `numbers` (k,) of `samples` (n, length), masked for `step`."""
    rows = samples[numbers].astype(np.int64)
    inputs, labels = rows.copy(), np.full_like(rows, IGNORED)
    for row, number in enumerate(numbers):
        generator = np.random.default_rng((seed, step, int(number)))
        _mask(inputs[row], labels[row], generator, vocabulary_size)
    return Batch(inputs, labels)


def _mask(
    inputs: NDArray[np.int64], labels: NDArray[np.int64], generator: np.random.Generator, vocabulary_size: int
) -> None:
    draws = np.where(inputs >= len(SPECIAL_TOKENS), generator.random(len(inputs)), np.inf)
    chosen = draws < MASKED_RATIO
    chosen[draws.argmin()] = True  # a short sample predicts at least one token
    labels[chosen] = inputs[chosen]
    kind = generator.random(len(inputs))
    others = generator.integers(len(SPECIAL_TOKENS), vocabulary_size, len(inputs))
    random = chosen & (kind >= MASK_TOKEN_RATIO) & (kind < MASK_TOKEN_RATIO + RANDOM_TOKEN_RATIO)
    inputs[chosen & (kind < MASK_TOKEN_RATIO)] = MASK
    inputs[random] = others[random]
