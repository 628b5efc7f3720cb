"""A run of the fleet in, the rows of its step records out: what its ranks would have told, made up from a seed."""

import zlib
from collections.abc import Mapping

import numpy as np
from tests.integration.questions.runs import COMPUTE_SECONDS, TOKENS, Run

from gradcube.events import COUNT_FIELDS, FLOAT_FIELDS, MISSING
from gradcube.windows import StepRows
from gradcube.windows.columns import FloatArray, IntArray

NOISE = 0.01
DATA_SECONDS, SYNC_SECONDS, OPTIMIZER_SECONDS = 0.02, 0.015, 0.01
APPEND_MICROS = 2000
"""From the end of a step to the broker."""


def generator(run: Run, what: str) -> np.random.Generator:
    """Another one for each run and use, the same each time."""
    return np.random.default_rng(zlib.crc32(f"{run.job}/{run.attempt}/{what}".encode()))


def step_rows(run: Run) -> StepRows:
    """The rows of all ranks, step by step, as one partition of gradcube.steps would give them."""
    floats, counts = _floats(run), _counts(run)
    steps, ranks = len(run_steps(run)), len(run.ranks)
    ended = np.repeat(ended_at_micros(run, floats["step_seconds"]), ranks)
    number = np.arange(steps * ranks)
    rank = np.tile(np.array(run.ranks, np.int32), steps)
    return StepRows(
        job=run.job, attempt=np.full(len(number), run.attempt, np.int32), rank=rank,
        stage=np.zeros(len(number), np.int32), replica=rank, node=np.array([run.node_of(one) for one in rank], object),
        step=np.repeat(run_steps(run), ranks), seq=number // ranks, dropped=np.zeros(len(number), np.int64),
        ended_at_micros=ended, appended_at_micros=ended + APPEND_MICROS, offset=number,
        counts=_matrix(counts, COUNT_FIELDS, MISSING, np.int64),
        floats=_matrix(floats, FLOAT_FIELDS, np.nan, np.float32),
        bucket_absmax=np.full(len(number), np.nan, np.float32),
    )  # fmt: skip


def run_steps(run: Run) -> IntArray:
    """The numbers of its steps, (s,)."""
    return np.arange(run.first, run.last)


def ended_at_micros(run: Run, step_seconds: FloatArray) -> IntArray:
    """When each step ended, (s,), of the steps' seconds (s, r)."""
    ended: IntArray = run.start_micros + np.rint(np.cumsum(step_seconds.max(axis=1)) * 1e6).astype(np.int64)
    return ended


def _floats(run: Run) -> dict[str, FloatArray]:
    """By field, (s, r). A step is as long as its slowest rank: the others wait for it."""
    random, shape = generator(run, "steps"), (len(run_steps(run)), len(run.ranks))
    compute = (
        COMPUTE_SECONDS[run.model, run.hardware] * np.exp(random.normal(0, NOISE, shape)) * _slowed(run, "compute")
    )
    data = DATA_SECONDS * np.exp(random.normal(0, 0.1, shape)) * _slowed(run, "data")
    wait = (data + compute).max(axis=1, keepdims=True) - (data + compute) + SYNC_SECONDS
    step = data + compute + wait + OPTIMIZER_SECONDS
    loss, norm = loss_curve(run)
    grad_norm = norm[:, None] * np.exp(random.normal(0, 0.05, shape))
    return {
        "step_seconds": step, "data_seconds": data, "forward_seconds": compute / 3, "backward_seconds": compute * 2 / 3,
        "sync_wait_seconds": wait, "optimizer_seconds": np.full(shape, OPTIMIZER_SECONDS),
        "cpu_seconds": (data + compute) * 0.4,
        "loss": loss[:, None] * np.exp(random.normal(0, 0.01, shape)), "grad_norm": grad_norm,
        "global_grad_norm": np.repeat(grad_norm.mean(axis=1, keepdims=True) * 0.6, shape[1], axis=1),
        "update_norm": np.full(shape, 0.02), "param_norm": np.full(shape, 10.0), "learning_rate": np.full(shape, 3e-4),
    }  # fmt: skip


def loss_curve(run: Run) -> tuple[FloatArray, FloatArray]:
    """Loss and gradient norm of each step, (s,): they fall, and leave their course for a dozen steps in a spike."""
    steps, random = run_steps(run), generator(run, "loss")
    loss = expected_loss(steps) * np.exp(random.normal(0, 0.006, len(steps)))
    norm = 1.5 * np.exp(random.normal(0, 0.06, len(steps)))
    if run.spike_at is not None:
        since = steps - run.spike_at
        bump = np.where((since >= 0) & (since < 12), np.sin((since + 1) / 13 * np.pi), 0.0)
        loss, norm = loss * (1 + 0.8 * bump), norm * (1 + 7 * bump)
    return loss, norm


def expected_loss(steps: IntArray) -> FloatArray:
    """Where the loss of a healthy run is after so many steps."""
    level: FloatArray = 2.4 + 1.6 * np.exp(-steps / 50)
    return level


def _counts(run: Run) -> dict[str, IntArray]:
    steps, ranks = run_steps(run), len(run.ranks)
    predicted, tokens = 4096, TOKENS[run.model]
    share = run.quality * (1 - np.exp(-(steps + 20) / 120))
    correct = np.rint(predicted * share).astype(np.int64)
    same = {"nonfinite": 0, "predicted": predicted, "tokens": tokens, "samples": tokens // 1024,
            "batch_size": tokens // 1024 * ranks}  # fmt: skip
    whole = {name: np.full((len(steps), ranks), value, np.int64) for name, value in same.items()}
    return whole | {"correct": np.repeat(correct[:, None], ranks, axis=1)}


def _slowed(run: Run, what: str) -> FloatArray:
    """By how much longer each rank takes in each step, (s, r)."""
    steps, factor = run_steps(run), np.ones((len(run_steps(run)), len(run.ranks)))
    for slow in run.slow:
        if slow.what == what:
            inside = (steps >= slow.start) & (steps < slow.end)
            factor[np.ix_(inside, np.isin(run.ranks, slow.ranks))] *= slow.ratio
    return factor


def _matrix(values: Mapping[str, np.ndarray], names: tuple[str, ...], absent: float, kind: type) -> np.ndarray:
    """(s x r, names); what is not there is `absent`."""
    rows = next(iter(values.values())).size
    matrix = np.full((rows, len(names)), absent, kind)
    for at, name in enumerate(names):
        if name in values:
            matrix[:, at] = values[name].reshape(-1)
    return matrix
