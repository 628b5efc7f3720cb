"""How far the workers' gradients agree, from their norms alone: noise scale, mean cosine, spread."""

from dataclasses import dataclass

import numpy as np

from gradcube.windows.columns import FloatArray
from gradcube.windows.metrics.declare import Measures, Metric, single
from gradcube.windows.peers import peer_ratio
from gradcube.windows.views import View


@dataclass(frozen=True)
class _Squares:
    """Of each attempt, (n,): mean |g|^2 of a worker's gradient and of the reduced one, and the number of workers.

    A pipeline's gradient is that of all stages: |g|^2 adds up over them, and a worker is one rank of each.
    """

    own: FloatArray
    reduced: FloatArray
    workers: FloatArray


def _squares(view: View) -> _Squares:
    ranks, owner = view.ranks, view.owner
    assert owner is not None, "a job is made of ranks"
    known = np.flatnonzero(ranks.samples("grad_square") > 0)
    n = len(view.subjects)
    stages, first, inverse = np.unique(ranks.stages()[known], return_index=True, return_inverse=True)
    count = np.bincount(inverse, minlength=len(stages)).astype(np.float64)
    of_stage = np.bincount(inverse, ranks.mean("grad_square")[known], len(stages)) / np.maximum(count, 1)
    job = owner[known][first]
    workers = np.bincount(job, count, n) / np.maximum(np.bincount(job, minlength=n), 1)
    own = np.bincount(job, of_stage, n).astype(np.float64)
    return _Squares(own, view.mean("global_grad_square"), workers.astype(np.float64))


def _agreement(view: View) -> Measures:
    squares = _squares(view)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = (squares.workers * squares.reduced / squares.own - 1) / (squares.workers - 1)
    return single(np.where(squares.workers >= 2, np.clip(cosine, -1.0, 1.0), np.nan))


def _noise_scale(view: View) -> Measures:
    """No value where the estimate of the true gradient is not positive: a longer window is needed."""
    squares, small = _squares(view), view.mean("samples")
    batch = view.mean("batch_size")
    big = np.where(np.isfinite(batch), batch, small * squares.workers)
    with np.errstate(divide="ignore", invalid="ignore"):
        true = (big * squares.reduced - small * squares.own) / (big - small)
        noise = (squares.own - squares.reduced) / (1 / small - 1 / big)
        return single(np.where((big > small) & (true > 0) & (noise >= 0), noise / true, np.nan))


def _spread(view: View) -> Measures:
    """Of a stage; of a job the greatest of its stages."""
    norms = view.ranks.mean("grad_norm")
    known = np.flatnonzero(np.isfinite(norms))
    stages, inverse = np.unique(view.ranks.stages()[known], return_inverse=True)
    count = np.bincount(inverse, minlength=len(stages))
    mean = np.bincount(inverse, norms[known], len(stages)) / np.maximum(count, 1)
    variance = np.bincount(inverse, (norms[known] - mean[inverse]) ** 2, len(stages)) / np.maximum(count, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.where(count >= 2, np.sqrt(variance) / mean, np.nan)
    of_rank = np.full(len(norms), np.nan)
    of_rank[known] = spread[inverse]
    return single(view.greatest(of_rank))


def _against_peers(view: View) -> Measures:
    return single(peer_ratio(view.mean("grad_norm"), view.stages()))


METRICS = (
    Metric(
        "gradient_noise_scale", "stability", "samples", ("job",),
        "S / |G|^2, |G|^2 = (B |Gb|^2 - b |Gs|^2) / (B - b), S = (|Gs|^2 - |Gb|^2) / (1/b - 1/B); Gs a worker's "
        "gradient of b samples, Gb the reduced one of B = batch_size, or b x workers; both squares are means over "
        "the window",
        "McCandlish et al., arXiv 1812.06162, appendix A.1", "grad_square", _noise_scale,
    ),
    Metric(
        "gradient_agreement_cosine", "stability", "cosine", ("job",),
        "(n |Gb|^2 / |Gs|^2 - 1) / (n - 1): mean of g_i g_j over all pairs of n workers / mean |g_i|^2, which is the "
        "mean cosine where the norms are alike; in closed form, since |mean g|^2 holds all pairs",
        "StepSync.grad_norm, global_grad_norm of a mean reduction with equal weights", "grad_square", _agreement,
    ),
    Metric(
        "grad_norm_spread_ratio", "stability", "ratio", ("job", "stage"),
        "standard deviation / mean over the ranks of a stage of their mean grad_norm; of a job the greatest",
        "StepSync.grad_norm", "grad_norm", _spread,
    ),
    Metric(
        "grad_norm_peer_ratio", "stability", "ratio", ("rank",),
        "mean grad_norm of the rank / median of the other ranks of its stage", "StepSync.grad_norm", "grad_norm",
        _against_peers,
    ),
)  # fmt: skip
