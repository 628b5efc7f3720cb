import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gradcube.sync.assignment import global_batch, member_slice
from gradcube_trainer.masking import IGNORED, masked_batch
from gradcube_trainer.wordpiece import END, MASK, PAD, START

VOCABULARY = 1000


def samples(count: int, length: int = 64) -> NDArray[np.int32]:
    rows = np.random.default_rng(0).integers(5, VOCABULARY, (count, length)).astype(np.int32)
    rows[:, 0], rows[:, -1] = START, END
    return rows


def test_15_percent_are_predicted_and_of_those_80_10_10_masked_random_kept() -> None:
    rows = samples(2000)
    batch = masked_batch(rows, np.arange(2000), seed=1, step=0, vocabulary_size=VOCABULARY)
    chosen = batch.labels != IGNORED
    assert abs(chosen[:, 1:-1].mean() - 0.15) < 0.005
    assert np.array_equal(batch.labels[chosen], rows[chosen])
    masked = (batch.inputs[chosen] == MASK).mean()
    kept = (batch.inputs[chosen] == rows[chosen]).mean()
    assert abs(masked - 0.8) < 0.01
    assert abs(kept - 0.1) < 0.01
    assert np.array_equal(batch.inputs[~chosen], rows[~chosen])


def test_special_tokens_and_padding_are_never_predicted() -> None:
    rows = samples(200)
    rows[:, 20] = END
    rows[:, 21:] = PAD
    batch = masked_batch(rows, np.arange(200), seed=1, step=0, vocabulary_size=VOCABULARY)
    assert set(np.unique(batch.labels[:, [0, *range(20, 64)]])) == {IGNORED}
    assert batch.tokens == 200 * 21


def test_a_short_sample_predicts_at_least_one_token() -> None:
    rows = np.full((300, 16), PAD, np.int32)
    rows[:, :3] = [START, 7, END]
    batch = masked_batch(rows, np.arange(300), seed=1, step=0, vocabulary_size=VOCABULARY)
    assert batch.predicted == 300


def test_the_mask_changes_with_step_and_seed() -> None:
    rows, numbers = samples(4), np.arange(4)
    draws = [(1, 0), (1, 1), (2, 0)]
    masks = {
        masked_batch(rows, numbers, seed=seed, step=step, vocabulary_size=VOCABULARY).labels.tobytes()
        for seed, step in draws
    }
    assert len(masks) == len(draws)


@settings(max_examples=50)
@given(
    ranks=st.sets(st.integers(0, 20), min_size=1, max_size=6),
    step=st.integers(0, 50),
    seed=st.integers(0, 2**31),
)
def test_ranks_together_compute_the_whole_batch_once_with_the_same_masks(ranks: set[int], step: int, seed: int) -> None:
    rows = samples(40, length=16)
    numbers = global_batch(step, samples=40, batch_size=12, seed=seed)
    whole = masked_batch(rows, numbers, seed=seed, step=step, vocabulary_size=VOCABULARY)
    parts = [
        masked_batch(rows, member_slice(numbers, sorted(ranks), rank), seed=seed, step=step, vocabulary_size=VOCABULARY)
        for rank in ranks
    ]
    assert sum(part.predicted for part in parts) == whole.predicted
    assert sorted(row.tobytes() for part in parts for row in part.inputs) == sorted(
        row.tobytes() for row in whole.inputs
    )
    assert sorted(row.tobytes() for part in parts for row in part.labels) == sorted(
        row.tobytes() for row in whole.labels
    )
