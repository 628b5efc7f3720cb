from pathlib import Path

import numpy as np
import pytest
import torch

from gradcube.sync.optimizers import AdamW
from gradcube.sync.torch_adapter import FlatModel
from gradcube_trainer.checkpoints import export_model
from gradcube_trainer.masking import IGNORED, Batch
from gradcube_trainer.model import build_model, forward, seed_dropout
from gradcube_trainer.settings import TrainerSettings
from gradcube_trainer.wordpiece import MASK, train_tokenizer

VOCABULARY = 300


def tiny(**overrides: object) -> TrainerSettings:
    shape = {"hidden_size": 32, "layers": 1, "heads": 2, "sequence_length": 16, "vocabulary_size": VOCABULARY}
    return TrainerSettings.load(**{**shape, **overrides})


def batch() -> Batch:
    labels = np.full((4, 16), IGNORED, np.int64)
    inputs = np.random.default_rng(0).integers(5, VOCABULARY, (4, 16))
    labels[:, 3], inputs[:, 3] = inputs[:, 3].copy(), MASK
    return Batch(inputs, labels)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(kind: str) -> None:
    first, again, other = (
        torch.nn.utils.parameters_to_vector(build_model(tiny(model=kind, seed=seed), VOCABULARY).parameters())
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_a_fresh_model_is_as_good_as_chance_and_learns_its_batch(kind: str) -> None:
    model = build_model(tiny(model=kind, dropout=0.0), VOCABULARY)
    start = forward(model, batch())
    assert start.loss.item() == pytest.approx(np.log(VOCABULARY), rel=0.05)
    flat, optimizer = FlatModel(model), AdamW()
    parameters = flat.parameters().copy()
    for _ in range(100):
        flat.zero_gradient()
        forward(model, batch()).loss.backward()
        optimizer.step(parameters, flat.gradient(), 1e-2)
        flat.load(parameters)
    assert forward(model, batch()).correct == 4


def test_dropout_follows_from_seed_step_and_rank() -> None:
    model = build_model(tiny(dropout=0.3), VOCABULARY)

    def loss(step: int, rank: int) -> float:
        seed_dropout(0, step, rank)
        return forward(model, batch()).loss.item()

    assert loss(1, 0) == loss(1, 0)
    assert len({loss(1, 0), loss(1, 1), loss(2, 0)}) == 3


def test_the_exported_folder_loads_as_an_equal_model(tmp_path: Path) -> None:
    from transformers.models.bert.modeling_bert import BertForMaskedLM

    model = build_model(tiny(), VOCABULARY)
    tokenizer = train_tokenizer(["some text to have a vocabulary"], VOCABULARY)
    folder = tmp_path / "models" / "bert"
    for _ in range(2):  # the second takes the first's place
        export_model(model, tokenizer, folder)
    loaded = BertForMaskedLM.from_pretrained(folder, local_files_only=True).state_dict()
    assert {path.name for path in folder.iterdir()} >= {"model.safetensors", "config.json", "tokenizer.json"}
    assert [path.name for path in folder.parent.iterdir()] == ["bert"]
    for name, value in model.state_dict().items():
        assert torch.equal(value, loaded[name]), name
