"""What norms alone say about the workers' gradients, against the gradients themselves."""

import numpy as np
import pytest
from tests.unit.windows.making import facts_of, make_rows, value

WORKERS, SIZE, STEPS = 8, 400, 60


def run(gradients: np.ndarray, samples: int = 4, **columns: object) -> list:
    """`gradients` (steps, workers, size): each worker reports its norm, and that of the mean."""
    steps, workers, _ = gradients.shape
    own = np.linalg.norm(gradients, axis=2).ravel()
    reduced = np.repeat(np.linalg.norm(gradients.mean(axis=1), axis=1), workers)
    step = np.repeat(np.arange(steps), workers)
    rows = make_rows(
        list(step / 10), rank=np.tile(np.arange(workers), steps).tolist(), step=step, seq=step, grad_norm=own,
        global_grad_norm=reduced, samples=samples, **columns,
    )  # fmt: skip
    return facts_of(rows)


def draw(noise: float, workers: int = WORKERS, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    true = rng.normal(size=SIZE) / np.sqrt(SIZE)
    return true + noise * rng.normal(size=(STEPS, workers, SIZE)) / np.sqrt(SIZE)


def test_agreement_is_the_mean_cosine_of_all_pairs() -> None:
    gradients = draw(1.0)
    unit = gradients / np.linalg.norm(gradients, axis=2, keepdims=True)
    cosines = np.einsum("swi,svi->swv", unit, unit)[:, ~np.eye(WORKERS, dtype=bool)].mean()
    assert value(run(gradients), "gradient_agreement_cosine") == pytest.approx(cosines, abs=0.01)


def test_workers_that_agree_have_cosine_1_and_opposite_ones_cosine_minus_1() -> None:
    one = np.random.default_rng(1).normal(size=(5, 1, SIZE))
    assert value(run(np.repeat(one, 4, axis=1)), "gradient_agreement_cosine") == pytest.approx(1.0, abs=1e-6)
    assert value(run(np.concatenate([one, -one], axis=1)), "gradient_agreement_cosine") == pytest.approx(-1.0, abs=1e-6)


def test_noise_scale_is_the_variance_of_a_sample_over_the_true_gradient() -> None:
    # A worker's gradient of 4 samples has noise 2^2 x |G|^2, so one sample has 4 times that: S / |G|^2 = 16.
    assert value(run(draw(2.0, workers=16)), "gradient_noise_scale") == pytest.approx(16.0, rel=0.15)


def test_noise_scale_goes_by_the_batch_size_where_it_is_told() -> None:
    gradients = draw(2.0, workers=16)
    assert value(run(gradients, batch_size=64), "gradient_noise_scale") == pytest.approx(
        value(run(gradients), "gradient_noise_scale")
    )


def test_one_worker_has_neither_agreement_nor_noise_scale() -> None:
    metrics = {fact["METRIC"] for fact in run(draw(1.0, workers=1))}
    assert not metrics & {"gradient_agreement_cosine", "gradient_noise_scale", "grad_norm_spread_ratio"}


def test_a_pipelines_gradient_is_that_of_all_its_stages() -> None:
    gradients = draw(1.0)
    halves = np.split(gradients, 2, axis=2)
    own = np.concatenate([np.linalg.norm(half, axis=2) for half in halves], axis=1)
    reduced = np.linalg.norm(gradients.mean(axis=1), axis=1)
    ranks = 2 * WORKERS
    rows = make_rows(
        list(np.repeat(np.arange(STEPS), ranks) / 10), rank=np.tile(np.arange(ranks), STEPS).tolist(),
        stage=np.tile(np.arange(ranks) // WORKERS, STEPS), seq=np.repeat(np.arange(STEPS), ranks),
        grad_norm=own.ravel(), global_grad_norm=np.repeat(reduced, ranks), samples=4,
    )  # fmt: skip
    for metric in ("gradient_agreement_cosine", "gradient_noise_scale"):
        assert value(facts_of(rows), metric) == pytest.approx(value(run(gradients), metric), rel=1e-4)


def test_spread_and_peers_name_the_rank_whose_gradient_leaves_the_others() -> None:
    norms = [1.0, 1.0, 1.0, 4.0, 9.0, 9.0, 9.0]
    rows = make_rows([1] * 7, rank=list(range(7)), stage=[0] * 4 + [1] * 3, seq=0, grad_norm=norms)
    facts = facts_of(rows)
    spread = np.std(norms[:4]) / np.mean(norms[:4])
    assert value(facts, "grad_norm_spread_ratio") == pytest.approx(spread)
    assert value(facts, "grad_norm_spread_ratio", "stage", subject="1") == 0
    assert value(facts, "grad_norm_peer_ratio", "rank", subject="3") == pytest.approx(4.0)
    assert value(facts, "grad_norm_peer_ratio", "rank", subject="5") == pytest.approx(1.0)
