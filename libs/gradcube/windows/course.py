"""What a job's windows know of those before them: progress, effective time, histories, the best so far.

The windows of a job come in, in their order; measures that no window has of itself go out. All of it is JSON in
`state`, so that a restart goes on as if nothing had happened.
"""

from typing import Any

import numpy as np

from gradcube.windows.effective_time import EffectiveTime
from gradcube.windows.history import History
from gradcube.windows.panes import Pane
from gradcube.windows.progress import Advance, Progress
from gradcube.windows.settings import MICROS
from gradcube.windows.side_samples import EVALUATED
from gradcube.windows.step_table import StepTable
from gradcube.windows.views import Measured, View

KEPT_ATTEMPTS = 2
"""Attempts whose histories are kept: a zombie may still write beside its successor."""
LESS_IS_BETTER = ("loss", "evaluation_loss", "evaluation_perplexity")
FOLLOWED = ("loss", "grad_norm")

OfAttempts = tuple[dict[str, Measured], ...]


class Course:
    """The course of one job; `steps` and `evaluations` are called once for each window of the job, in order."""

    def __init__(self) -> None:
        self.progress = Progress()
        self._time = EffectiveTime()
        self._histories: dict[int, dict[str, History]] = {}
        self._best: dict[str, float] = {}
        self._greatest_update_ratio = 0.0
        self._training_loss: float | None = None

    def steps(self, window: Pane, view: View, start_micros: int) -> OfAttempts:
        """Measures of each attempt of the job's `view` over its step records."""
        effective_seconds, known, found = 0.0, False, []
        for at, subject in enumerate(view.subjects):
            table = window.by_step.get(subject.attempt, StepTable())
            advance = self.progress.advance(subject.attempt, table.steps)
            seconds = table.mean("step_seconds")
            known |= bool(np.isfinite(seconds).any())
            effective_seconds += float(np.nansum(seconds[advance.new]))
            own = _of_steps(table, advance, subject.attempt)
            found.append(own | self._of_history(subject.attempt, table, advance) | self._of_means(view, at))
        if found:
            end_micros = start_micros + view.window_seconds * MICROS
            shares = self._time.advance(start_micros, end_micros, effective_seconds)
            found[-1] |= shares if known else {}
        for old in sorted(self._histories)[:-KEPT_ATTEMPTS]:
            del self._histories[old]
        return tuple(found)

    def evaluations(self, view: View) -> OfAttempts:
        """Measures of each attempt of the job's `view` over its evaluations: the best so far, and the gap."""
        found = []
        for at in range(len(view.subjects)):
            own: dict[str, Measured] = {}
            for name in EVALUATED:
                samples = view.total(f"{name}_samples")[at]
                if samples:
                    value = float(view.total(f"{name}_weighted")[at] / samples)
                    own |= self._better(f"evaluation_{name}", value)
                    own |= self._gap(value) if name == "loss" else {}
            found.append(own)
        return tuple(found)

    def state(self) -> dict[str, Any]:
        """As JSON."""
        histories = {
            str(attempt): {name: history.state() for name, history in own.items()}
            for attempt, own in sorted(self._histories.items())
        }
        return {
            "progress": self.progress.state(),
            "time": self._time.state(),
            "histories": histories,
            "best": self._best,
            "greatest_update_ratio": self._greatest_update_ratio,
            "training_loss": self._training_loss,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`, in a new object."""
        self.progress.restore(state["progress"])
        self._time.restore(state["time"])
        self._histories = {
            int(attempt): {name: History(packed) for name, packed in own.items()}
            for attempt, own in state["histories"].items()
        }
        self._best = dict(state["best"])
        self._greatest_update_ratio = float(state["greatest_update_ratio"])
        self._training_loss = state["training_loss"]

    def _of_history(self, attempt: int, table: StepTable, advance: Advance) -> dict[str, Measured]:
        own = self._histories.setdefault(attempt, {name: History() for name in FOLLOWED})
        return {
            f"{name}_{measure}": measured
            for name, history in own.items()
            for measure, measured in history.advance(table.mean(name)[advance.first]).items()
        }

    def _of_means(self, view: View, at: int) -> dict[str, Measured]:
        loss, update_ratio = float(view.mean("loss")[at]), float(view.mean("update_ratio")[at])
        predicted = float(view.total("predicted")[at])
        found: dict[str, Measured] = {}
        if np.isfinite(loss):
            self._training_loss = loss
            found |= self._better("loss", loss)
        if view.samples("masked_accuracy_ratio")[at] and predicted:
            found |= self._better("masked_accuracy_ratio", float(view.total("correct")[at]) / predicted)
        if np.isfinite(update_ratio) and update_ratio > 0:
            self._greatest_update_ratio = max(self._greatest_update_ratio, update_ratio)
            found["parameter_convergence"] = one(update_ratio / self._greatest_update_ratio)
        return found

    def _better(self, name: str, value: float) -> dict[str, Measured]:
        pick = min if name in LESS_IS_BETTER else max
        self._best[name] = pick(self._best.get(name, value), value)
        return {f"best_{name}": one(self._best[name])}

    def _gap(self, evaluation_loss: float) -> dict[str, Measured]:
        if self._training_loss is None:
            return {}
        return {"generalisation_gap": one(evaluation_loss - self._training_loss)}


def one(value: float) -> Measured:
    """A measure that was taken once."""
    return (value, value, value, value, 1)


def _of_steps(table: StepTable, advance: Advance, attempt: int) -> dict[str, Measured]:
    found = {
        "steps": one(float(advance.first.sum())),
        "new_steps": one(float(advance.new.sum())),
        "restarts": (float(attempt), float(advance.begun and attempt > 0), float(attempt), float(attempt), 1),
    }
    return found | _slow_down(table)


def _slow_down(table: StepTable) -> dict[str, Measured]:
    """Actual over ideal time of the steps: ideal is as if the ranks had shared the work of the step evenly."""
    actual, busy = table.mean("step_seconds"), table.mean("busy_seconds")
    ideal = actual - (table.most("busy_seconds") - busy)
    known = np.isfinite(ideal) & (ideal > 0)
    if not known.any():
        return {}
    ratio = actual[known] / ideal[known]
    value = float(actual[known].sum() / ideal[known].sum())
    return {"slow_down": (value, float(ratio.sum()), float(ratio.min()), float(ratio.max()), int(known.sum()))}
