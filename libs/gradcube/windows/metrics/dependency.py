"""Dependency: what gradcube itself hangs on, the broker above all, and the clocks of the machines that write to it."""

import numpy as np

from gradcube.windows.metrics.declare import OF_STEPS, Measures, Metric, mean, percentile, single
from gradcube.windows.reach import DEPENDENCIES
from gradcube.windows.views import PERCENTS, View

_BY_BROKER = "broker's append time less"
_PLURAL = {"broker": "brokers", "server": "parameter servers", "store": "checkpoint stores", "gateway": "SQL gateways"}


def _clock_offset(view: View) -> Measures:
    """A clock that is ahead makes records look as if they arrived early; the least lag is the least disturbed."""
    least = view.least("append_lag_seconds")
    least = np.where(np.isfinite(least), least, np.nan)
    offset = np.full(len(least), np.nan)
    attempts = np.array([subject.attempt for subject in view.subjects], np.int64)
    for attempt in np.unique(attempts):
        mine = np.flatnonzero((attempts == attempt) & np.isfinite(least))
        if len(mine) > 1:
            offset[mine] = np.median(least[mine]) - least[mine]
    return single(offset)


def _reach(name: str) -> tuple[Metric, Metric]:
    """As the agents find it every 10 s: of a node, and of a job over the nodes that its ranks run on."""
    probes = f"ResourceSample.reach of {_PLURAL[name]}"
    how = "a small file synced, or an open connection" if name == "store" else "an open connection, name looked up"
    kinds = ("job", "node")
    return (
        mean(
            f"{name}_reach_seconds", "dependency", "seconds",
            f"{probes}: the slowest of those reached in one round; {how}", kinds,
        ),
        mean(f"{name}_reachable_ratio", "dependency", "ratio", f"{probes}: share reached in time", kinds),
    )  # fmt: skip


METRICS = (
    mean(
        "append_delay_seconds", "dependency", "seconds",
        f"{_BY_BROKER} StepSync.ended_at (corrected by clock_skew_seconds), at least 0: monitor to Kafka",
        (*OF_STEPS, "node"),
    ),
    *(percentile("append_delay_seconds", percent, "dependency", "seconds", ("job", "stage")) for percent in PERCENTS),
    mean(
        "sample_delay_seconds", "dependency", "seconds",
        f"{_BY_BROKER} ResourceSample.sampled_at, at least 0: sampler to Kafka", ("job", "rank", "node"),
    ),
    mean(
        "server_delay_seconds", "dependency", "seconds",
        f"{_BY_BROKER} ServerSync.ended_at, at least 0: parameter server to Kafka", ("job", "shard"),
    ),
    *(metric for name in DEPENDENCIES for metric in _reach(name)),
    Metric(
        "clock_offset_seconds", "dependency", "seconds", ("node",),
        "median over the job's nodes of their least append lag less the node's own: how far its clock is ahead of the "
        "others'; a lag is the broker's append time less StepSync.ended_at. Of two nodes or more",
        "minimum filter of Cristian, Distributed Computing 1989, one way", "append_lag_seconds", _clock_offset,
    ),
)  # fmt: skip
