"""Latency: where the time of a step goes, on ranks and on the parameter servers' shards."""

from gradcube.windows.metrics.declare import mean, percentile
from gradcube.windows.samples import TIMINGS

METRICS = (
    *(mean(name, "latency", "seconds", f"StepSync.{name}") for name in TIMINGS),
    *(percentile(name, percent, "latency", "seconds") for name in TIMINGS for percent in (50, 95, 99)),
    mean("compute_seconds", "latency", "seconds", "StepSync.forward_seconds + backward_seconds of each step"),
    mean(
        "sync_wait_ratio", "latency", "ratio",
        "StepSync.sync_wait_seconds / step_seconds of each step; the slowest rank waits least",
    ),
    mean("apply_seconds", "latency", "seconds", "ServerSync.apply_seconds", ("shard",)),
    mean("queue_depth", "latency", "pushes", "ServerSync.queue_depth", ("shard",)),
    mean(
        "arrival_spread_seconds", "latency", "seconds",
        "ServerSync.arrival_seconds: last push after the first", ("shard",),
    ),
)  # fmt: skip
