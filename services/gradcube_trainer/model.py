"""The language model: fresh weights under the seed, and its forward pass. Nothing is downloaded."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

# Read by transformers at import: no network, ever, and no advice on stderr.
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

import torch
from torch import nn
from torch.nn import functional

from gradcube_trainer.masking import IGNORED, Batch
from gradcube_trainer.settings import TrainerSettings
from gradcube_trainer.wordpiece import PAD


@dataclass(frozen=True)
class Outcome:
    """One forward pass: `loss` is the mean over the batch's predicted tokens, with its graph."""

    loss: torch.Tensor
    correct: int


def build_model(settings: TrainerSettings, vocabulary_size: int) -> nn.Module:
    """A transformers model for masked language modelling; the same weights for the same seed."""
    torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    shape = {
        "vocab_size": vocabulary_size,
        "hidden_size": settings.hidden_size,
        "num_hidden_layers": settings.layers,
        "num_attention_heads": settings.heads,
        "intermediate_size": 4 * settings.hidden_size,
        "hidden_dropout_prob": settings.dropout,
        "attention_probs_dropout_prob": settings.dropout,
        "pad_token_id": PAD,
        "attn_implementation": "eager",
    }
    model: nn.Module = _fresh(settings.model, shape, settings.sequence_length)
    return model.train()


def _fresh(kind: str, shape: Mapping[str, Any], length: int) -> Any:
    # Imported by kind: each costs its own time, and importing the package's front door costs them all.
    if kind == "roberta":
        from transformers.models.roberta.modeling_roberta import RobertaConfig, RobertaForMaskedLM

        # RoBERTa counts positions from the padding's number + 1.
        config = RobertaConfig(max_position_embeddings=length + PAD + 1, type_vocab_size=1, **shape)
        return RobertaForMaskedLM(config)
    from transformers.models.bert.modeling_bert import BertConfig, BertForMaskedLM

    return BertForMaskedLM(BertConfig(max_position_embeddings=length, **shape))


def seed_dropout(seed: int, step: int, rank: int) -> None:
    """Dropout of a step on a rank: the same when the step is computed again, another one elsewhere."""
    torch.manual_seed(int(np.random.SeedSequence((seed, step, rank)).generate_state(1)[0]))


def forward(model: nn.Module, batch: Batch) -> Outcome:
    """Predicts the masked tokens of `batch`."""
    inputs, labels = torch.from_numpy(batch.inputs), torch.from_numpy(batch.labels)
    logits = model(input_ids=inputs, attention_mask=(inputs != PAD).long()).logits
    chosen = labels != IGNORED
    predictions, truth = logits[chosen], labels[chosen]
    loss = functional.cross_entropy(predictions, truth)
    return Outcome(loss, int((predictions.argmax(-1) == truth).sum()))
