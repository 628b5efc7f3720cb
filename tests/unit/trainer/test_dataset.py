import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from gradcube.errors import ConfigError, DataError
from gradcube_trainer import dataset as dataset_module
from gradcube_trainer.dataset import open_dataset
from gradcube_trainer.settings import TrainerSettings
from gradcube_trainer.wordpiece import END, PAD, SPECIAL_TOKENS, START, encode_samples, train_tokenizer

TEXT = "the quick brown fox jumps over the lazy dog, and the lazy dog does not mind it at all. " * 40
FINGERPRINT = """
import hashlib, sys
from gradcube_trainer.wordpiece import train_tokenizer
from gradcube_trainer.corpus import read_corpus
from pathlib import Path
texts = read_corpus(Path(sys.argv[1]), limit_bytes=60_000).texts
sys.stdout.write(hashlib.sha256(train_tokenizer(texts, 512).to_str().encode()).hexdigest())
"""


@pytest.fixture
def settings(tmp_path: Path) -> TrainerSettings:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text(TEXT)
    return TrainerSettings(
        data_dir=tmp_path / "text",
        cache_dir=tmp_path / "cache",
        vocabulary_size=256,
        sequence_length=16,
        global_batch_size=8,
    )


def test_the_special_tokens_come_first_and_the_text_survives_a_round_trip() -> None:
    tokenizer = train_tokenizer([TEXT], 256)
    assert [tokenizer.id_to_token(number) for number in range(5)] == list(SPECIAL_TOKENS)
    assert tokenizer.decode(tokenizer.encode("The lazy dog").ids) == "the lazy dog"
    assert tokenizer.get_vocab_size() <= 256


def test_every_process_trains_the_same_tokenizer(tmp_path: Path) -> None:
    library = Path(os.__file__).parent / "json"
    answers = {
        subprocess.run([sys.executable, "-c", FINGERPRINT, library], capture_output=True, check=True).stdout
        for _ in range(4)
    }
    assert len(answers) == 1


def test_samples_start_and_end_with_their_tokens_and_short_rests_are_left_out() -> None:
    tokenizer = train_tokenizer([TEXT], 256)
    samples = encode_samples(tokenizer, [TEXT, "dog"], 16)
    assert (samples[:, 0] == START).all()
    assert ((samples == END).sum(1) == 1).all()
    assert (samples != PAD).sum(1).min() >= 8 + 2


def test_text_that_spells_a_special_token_is_letters() -> None:
    samples = encode_samples(train_tokenizer([TEXT + "[MASK]"], 256), ["[MASK] the dog"], 16)
    assert SPECIAL_TOKENS.index("[MASK]") not in samples


def test_the_second_worker_reads_what_the_first_has_built(
    settings: TrainerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_dataset(settings)
    monkeypatch.setattr(dataset_module, "train_tokenizer", None)
    second = open_dataset(settings)
    assert np.array_equal(first.samples, second.samples)
    assert first.tokenizer.to_str() == second.tokenizer.to_str()


def test_workers_that_start_together_get_the_same_samples(settings: TrainerSettings) -> None:
    with ProcessPoolExecutor(3) as pool:
        shapes = list(pool.map(_sum_of_samples, [settings] * 3))
    assert len(set(shapes)) == 1
    assert len([path for path in settings.cache_dir.iterdir() if path.is_dir()]) == 1


def _sum_of_samples(settings: TrainerSettings) -> int:
    return int(open_dataset(settings).samples.sum())


@pytest.mark.parametrize("file", ["tokenizer.json", "samples.npy"])
def test_a_broken_cache_is_built_again(settings: TrainerSettings, file: str) -> None:
    expected = open_dataset(settings).samples.sum()
    (folder,) = (path for path in settings.cache_dir.iterdir() if path.is_dir())
    (folder / file).write_bytes(b"broken")
    assert open_dataset(settings).samples.sum() == expected
    assert Tokenizer.from_str((folder / "tokenizer.json").read_text()).get_vocab_size() > 5


def test_other_text_is_another_cache_entry(settings: TrainerSettings) -> None:
    open_dataset(settings)
    (settings.data_dir / "a.txt").write_text(TEXT + "more")
    open_dataset(settings)
    assert len([path for path in settings.cache_dir.iterdir() if path.is_dir()]) == 2


def test_too_little_text_for_a_batch_says_how_much_there_is(settings: TrainerSettings) -> None:
    with pytest.raises(DataError, match=r"gives \d+ samples of 16 tokens, one batch needs 5000"):
        open_dataset(settings.model_copy(update={"global_batch_size": 5000}))


def test_a_cache_that_cannot_be_written_is_a_settings_error(settings: TrainerSettings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="GRADCUBE_TRAINER_CACHE_DIR"):
        open_dataset(settings.model_copy(update={"cache_dir": tmp_path / "file" / "cache"}))
