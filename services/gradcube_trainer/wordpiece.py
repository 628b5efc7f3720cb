"""A WordPiece tokenizer trained on the spot: texts come in, a tokenizer and samples of equal length go out.

The same texts give the same tokenizer in every process, so that workers without a shared cache agree.
"""

import os
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# The trainer and the encoder would start a thread per core beside each worker.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNKNOWN, START, END, MASK = range(len(SPECIAL_TOKENS))
SHORTEST_PIECE = 8
"""A file's last piece shorter than this is left out: it would be mostly padding."""


def train_tokenizer(texts: Sequence[str], vocabulary_size: int) -> Tokenizer:
    """A lower-casing WordPiece tokenizer of `vocabulary_size` tokens at most; SPECIAL_TOKENS are 0 to 4."""
    alphabet = _alphabet(texts, vocabulary_size // 5)
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary_size,
        # The trainer numbers "##x" in the order of a randomly seeded hash map, and breaks ties by number:
        # numbering them beforehand is what makes it deterministic.
        special_tokens=[*SPECIAL_TOKENS, *(f"##{character}" for character in alphabet)],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    trained = _tokenizer({token: number for number, token in enumerate(SPECIAL_TOKENS)})
    trained.train_from_iterator(texts, trainer)
    return _tokenizer(trained.get_vocab())


def encode_samples(tokenizer: Tokenizer, texts: Sequence[str], length: int) -> NDArray[np.int32]:
    """Samples (n, length): [CLS], up to length - 2 tokens of one file, [SEP], then [PAD]."""
    body = length - 2
    tokenizer.encode_special_tokens = True  # a file that says "[MASK]" means the letters
    pieces: list[list[int]] = []
    for text in texts:
        numbers = tokenizer.encode(text, add_special_tokens=False).ids
        pieces += [numbers[at : at + body] for at in range(0, len(numbers), body)]
    shortest = min(SHORTEST_PIECE, max(map(len, pieces), default=0))
    kept = [piece for piece in pieces if len(piece) >= max(shortest, 1)]
    samples = np.full((len(kept), length), PAD, np.int32)
    for row, piece in zip(samples, kept, strict=True):
        row[: len(piece) + 2] = [START, *piece, END]
    return samples


def _tokenizer(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=SPECIAL_TOKENS[UNKNOWN]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return tokenizer


def _alphabet(texts: Sequence[str], limit: int) -> list[str]:
    normalizer = normalizers.BertNormalizer(lowercase=True)
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(normalizer.normalize_str(text))
    visible = [character for character in counts if not character.isspace()]
    return sorted(visible, key=lambda character: (-counts[character], character))[:limit]
