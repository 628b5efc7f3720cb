"""What the monitor costs a training: step for step with and without it, in one process, on the demo's model.

Pairs of steps, one watched and one not, in random order; the same model, optimizer and batches. The hooks are really
off in the other step. Intervals are 95 % of a bootstrap over pairs.
"""

import gc
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import gradcube
from gradcube.bus.emitter import Emitter
from gradcube.bus.local_broker import LocalBroker
from gradcube.bus.topics import apply_topics, load_topics
from gradcube.events import FLOAT_FIELDS
from gradcube.settings import KafkaSettings
from gradcube_trainer.masking import masked_batch
from gradcube_trainer.model import build_model, forward
from gradcube_trainer.settings import TrainerSettings
from tests.bench.figure import Figure
from tests.waiting import wait_until

SAMPLES = 16
"""Of one worker: the demo's 64 over four."""
MEAN_GOAL, P99_GOAL, STEP_GOAL_MICROS = 1.0025, 1.01, 100
RESAMPLES = 1000

FloatArray = NDArray[np.float64]


def run(quick: bool) -> list[Figure]:
    """Ratios of mean and 99th percentile of a step, and what `step()` takes while the broker is frozen."""
    with _broker() as broker:
        emitter = Emitter(KafkaSettings(bootstrap=broker.bootstrap))
        wait_until(lambda: emitter.stats().connected, 30, "the emitter's connection")
        training = Training.build(emitter)
        pairs = _timed_pairs(training, 60 if quick else 700)
        broker.freeze()
        steps = _timed_calls(training, 1000 if quick else 10_000)
        broker.thaw()
        training.monitor.close()
        emitter.close(10)
    return [*_ratios(pairs), _call_figure(steps)]


@contextmanager
def _broker() -> Iterator[LocalBroker]:
    with tempfile.TemporaryDirectory(prefix="gradcube-bench-") as folder:
        broker = LocalBroker(Path(folder))
        broker.start()
        apply_topics(KafkaSettings(bootstrap=broker.bootstrap), load_topics(), replication=1)
        try:
            yield broker
        finally:
            broker.stop()


@dataclass
class Training:
    """The demo's model under a monitor whose hooks can be taken off and put back."""

    settings: TrainerSettings
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    monitor: gradcube.Monitor
    samples: NDArray[np.int32]
    saved: list[tuple[dict[int, Any], dict[int, Any]]]
    saved_of_parameters: list[tuple[torch.Tensor, Any]]

    @classmethod
    def build(cls, emitter: Emitter) -> "Training":
        settings = TrainerSettings()
        model = build_model(settings, settings.vocabulary_size)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
        monitor = gradcube.Monitor(model, optimizer, job="bench", emitter=emitter)
        samples = np.random.default_rng(0).integers(5, settings.vocabulary_size, (512, settings.sequence_length))
        places = (
            model._forward_pre_hooks,
            model._forward_hooks,
            optimizer._optimizer_step_pre_hooks,
            optimizer._optimizer_step_post_hooks,
        )
        return cls(
            settings, model, optimizer, monitor, samples.astype(np.int32),
            [(place, dict(place)) for place in places],
            [(parameter, parameter._post_accumulate_grad_hooks) for parameter in model.parameters()],
        )  # fmt: skip

    def watch(self, on: bool) -> None:
        """Puts the hooks on, or takes them off as if there never had been any."""
        for place, hooks in self.saved:
            place.clear()
            place.update(hooks if on else {})
        for parameter, hooks in self.saved_of_parameters:
            parameter._post_accumulate_grad_hooks = hooks if on else None

    def step(self, number: int, watched: bool) -> tuple[float, float]:
        """One step; its wall time and this thread's CPU time in seconds."""
        self.watch(watched)
        own = np.arange(SAMPLES) + SAMPLES * (number % 32)
        began, began_cpu = time.perf_counter(), time.thread_time()
        batch = masked_batch(self.samples, own, seed=0, step=number, vocabulary_size=self.settings.vocabulary_size)
        self.optimizer.zero_grad()
        outcome = forward(self.model, batch)
        outcome.loss.backward()
        self.optimizer.step()
        if watched:
            self.monitor.step(outcome.loss, correct=outcome.correct, predicted=batch.predicted, tokens=batch.tokens)
        else:
            outcome.loss.item()
        return time.perf_counter() - began, time.thread_time() - began_cpu


def _timed_pairs(training: Training, num_pairs: int) -> FloatArray:
    """(pairs, off and on, wall and CPU) in seconds."""
    random = np.random.default_rng(1)
    for number in range(10):
        training.step(number, watched=number % 2 == 0)
    gc.collect()
    pairs = np.empty((num_pairs, 2, 2))
    for number in range(num_pairs):
        for watched in random.permutation(2):
            pairs[number, watched] = training.step(number, bool(watched))
    return pairs


def _timed_calls(training: Training, num_calls: int) -> FloatArray:
    """(calls, 2) seconds of `monitor.step()` alone, after an optimizer's step as ever, and of plain Python after one.

    The second says what the machine itself adds to work of that kind, with nothing of a monitor in it.
    """
    training.watch(True)
    for group in training.optimizer.param_groups:
        group["lr"] = 0.0
    loss = torch.tensor(1.5)
    seconds = np.empty((num_calls, 2))
    for number in range(num_calls):
        training.optimizer.step()
        began = time.perf_counter()
        training.monitor.step(loss, correct=3, predicted=100, tokens=1000)
        seconds[number, 0] = time.perf_counter() - began
        training.optimizer.step()
        began = time.perf_counter()
        _plain_python()
        seconds[number, 1] = time.perf_counter() - began
    return seconds


def _plain_python() -> int:
    """Objects, dicts and calls, about as long as `step()`."""
    return sum(len({name: (name, number) for name in FLOAT_FIELDS}) for number in range(20))


def _ratios(pairs: FloatArray) -> list[Figure]:
    wall, cpu = pairs[:, :, 0], pairs[:, :, 1]
    cpu_low, cpu_high = _interval(cpu, np.mean)
    details = {
        "off_mean_ms": 1e3 * wall[:, 0].mean(),
        "cpu_ratio": cpu[:, 1].mean() / cpu[:, 0].mean(),
        "cpu_low": cpu_low,
        "cpu_high": cpu_high,
    }
    return [
        _ratio("monitor: mean of a step, on against off", wall, np.mean, MEAN_GOAL, details),
        _ratio("monitor: p99 of a step, on against off", wall, _p99, P99_GOAL, {}),
    ]


def _ratio(name: str, seconds: FloatArray, of: Callable[..., Any], goal: float, details: dict[str, float]) -> Figure:
    low, high = _interval(seconds, of)
    met = True if high <= goal else False if low > goal else None
    note = f"95 % interval {low:.4f} to {high:.4f}; {len(seconds)} pairs"
    if details:
        note += "; the training thread's CPU time: {cpu_ratio:.4f} ({cpu_low:.4f} to {cpu_high:.4f})".format(**details)
    ratio = float(of(seconds[:, 1]) / of(seconds[:, 0]))
    return Figure(name, ratio, "", f"<= {goal}", met, note, details | {"low": low, "high": high})


def _interval(seconds: FloatArray, of: Callable[..., Any]) -> tuple[float, float]:
    random, n = np.random.default_rng(2), len(seconds)
    ratios = []
    for _ in range(RESAMPLES):
        off, on = seconds[random.integers(0, n, n)].T
        ratios.append(of(on) / of(off))
    low, high = np.quantile(ratios, (0.025, 0.975))
    return float(low), float(high)


def _p99(seconds: FloatArray) -> float:
    return float(np.quantile(seconds, 0.99))


def _call_figure(seconds: FloatArray) -> Figure:
    micros, plain = 1e6 * seconds.T
    p999 = float(np.quantile(micros, 0.999))
    note = (
        f"median {np.median(micros):.0f} µs, p99 {np.quantile(micros, 0.99):.0f} µs; {len(micros)} calls; plain Python "
        f"beside it: median {np.median(plain):.0f} µs, p99.9 {np.quantile(plain, 0.999):.0f} µs"
    )
    goal = f"<= {STEP_GOAL_MICROS} µs"
    return Figure("monitor: p99.9 of step(), broker frozen", p999, "µs", goal, p999 <= STEP_GOAL_MICROS, note)
