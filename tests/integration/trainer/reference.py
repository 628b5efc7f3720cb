"""The same training in one process over the whole batch, with torch's own optimizer: what is compared against."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gradcube.sync.assignment import global_batch
from gradcube.sync.torch_adapter import FlatModel
from gradcube_trainer.dataset import open_dataset
from gradcube_trainer.masking import masked_batch
from gradcube_trainer.model import build_model, forward
from gradcube_trainer.schedule import learning_rate
from gradcube_trainer.settings import TrainerSettings


@dataclass(frozen=True)
class Reference:
    losses: list[float]
    parameters: NDArray[np.float32]


def train_alone(settings: TrainerSettings) -> Reference:
    dataset = open_dataset(settings)
    vocabulary_size = dataset.tokenizer.get_vocab_size()
    model = build_model(settings, vocabulary_size)
    flat = FlatModel(model)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    losses = []
    for step in range(settings.steps):
        numbers = global_batch(
            step, samples=len(dataset.samples), batch_size=settings.global_batch_size, seed=settings.seed
        )
        batch = masked_batch(dataset.samples, numbers, seed=settings.seed, step=step, vocabulary_size=vocabulary_size)
        flat.zero_gradient()
        outcome = forward(model, batch)
        outcome.loss.backward()
        optimizer.param_groups[0]["lr"] = learning_rate(
            step, peak=settings.learning_rate, warmup_steps=settings.warmup_steps, steps=settings.steps
        )
        optimizer.step()
        losses.append(outcome.loss.item())
    return Reference(losses, flat.parameters().copy())


def mean_losses(traces: Iterable[list[tuple[int, float, int]]], steps: int) -> list[float]:
    """The loss of each step over all workers, weighted by predicted tokens; NaN where nobody reported."""
    totals, weights = np.zeros(steps), np.zeros(steps)
    for trace in traces:
        for step, loss, predicted in trace:
            totals[step] += loss * predicted
            weights[step] += predicted
    with np.errstate(invalid="ignore"):
        return list(totals / weights)
