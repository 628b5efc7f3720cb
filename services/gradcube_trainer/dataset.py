"""The tokenised corpus: built once per machine and corpus, shared by its workers through a cache folder."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray
from tokenizers import Tokenizer

from gradcube.errors import ConfigError, DataError
from gradcube_trainer.corpus import Corpus, read_corpus
from gradcube_trainer.settings import TrainerSettings
from gradcube_trainer.wordpiece import encode_samples, train_tokenizer

log = structlog.get_logger(__name__)

FORMAT = 1
"""Part of the cache's key: raise it when tokenizing changes."""


@dataclass(frozen=True)
class Dataset:
    """`samples` is (n, sequence_length) int32, read from the cache as it is needed."""

    name: str
    tokenizer: Tokenizer
    samples: NDArray[np.int32]


def open_dataset(settings: TrainerSettings) -> Dataset:
    """The corpus of `settings` as samples; the first worker builds it, the others wait for it.

    Raises DataError when the text is not enough for one batch, ConfigError when the cache cannot be written.
    """
    corpus = read_corpus(settings.data_dir, limit_bytes=settings.data_limit_bytes)
    folder = settings.cache_dir / _key(corpus, settings)
    try:
        with _locked(folder.with_suffix(".lock")):
            dataset = _load(corpus, folder, settings) or _build(corpus, folder, settings)
    except OSError as error:
        raise ConfigError(f"cache {folder}: {error}; set GRADCUBE_TRAINER_CACHE_DIR to a writable folder") from error
    if len(dataset.samples) < settings.global_batch_size:
        raise DataError(
            f"{settings.data_dir} gives {len(dataset.samples)} samples of {settings.sequence_length} tokens, "
            f"one batch needs {settings.global_batch_size}: give more text, or set a smaller "
            "GRADCUBE_TRAINER_GLOBAL_BATCH_SIZE"
        )
    return dataset


def _key(corpus: Corpus, settings: TrainerSettings) -> str:
    digest = hashlib.sha256(f"{FORMAT} {settings.vocabulary_size} {settings.sequence_length}".encode())
    for text in corpus.texts:
        digest.update(hashlib.sha256(text.encode()).digest())
    return digest.hexdigest()[:32]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # the kernel lets go of it when the builder dies
        yield


def _load(corpus: Corpus, folder: Path, settings: TrainerSettings) -> Dataset | None:
    if not folder.is_dir():
        return None
    try:
        tokenizer = Tokenizer.from_str((folder / "tokenizer.json").read_text())
        samples = np.load(folder / "samples.npy", mmap_mode="r", allow_pickle=False)
    except Exception as error:  # noqa: BLE001 - tokenizers raises bare Exception; a broken cache is built again
        log.warning("cache_unreadable", folder=str(folder), error=str(error))
        return None
    whole = samples.ndim == 2 and samples.shape[1] == settings.sequence_length and samples.dtype == np.int32
    return Dataset(corpus.name, tokenizer, samples) if whole else None


def _build(corpus: Corpus, folder: Path, settings: TrainerSettings) -> Dataset:
    tokenizer = train_tokenizer(corpus.texts, settings.vocabulary_size)
    samples = encode_samples(tokenizer, corpus.texts, settings.sequence_length)
    draft = Path(tempfile.mkdtemp(prefix="draft-", dir=folder.parent))
    try:
        tokenizer.save(str(draft / "tokenizer.json"))
        np.save(draft / "samples.npy", samples, allow_pickle=False)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    log.info("corpus_tokenised", texts=len(corpus.texts), samples=len(samples), skipped=dict(corpus.skipped))
    return Dataset(corpus.name, tokenizer, samples)
