"""Latency: where the time of a step goes, on ranks and on the parameter servers' shards."""

from gradcube.windows.metrics.declare import mean, of_course, percentile
from gradcube.windows.samples import TIMINGS
from gradcube.windows.views import PERCENTS

METRICS = (
    *(mean(name, "latency", "seconds", f"StepSync.{name}") for name in TIMINGS),
    *(percentile(name, percent, "latency", "seconds") for name in TIMINGS for percent in PERCENTS),
    mean("compute_seconds", "latency", "seconds", "StepSync.forward_seconds + backward_seconds of each step"),
    mean(
        "sync_wait_ratio", "latency", "ratio",
        "StepSync.sync_wait_seconds / step_seconds of each step; the slowest rank waits least",
    ),
    of_course(
        "slow_down_ratio", "slow_down", "latency", "ratio",
        "sum of T / sum of (T - (max B - mean B)) over the steps, T the mean step_seconds, B the step_seconds - "
        "sync_wait_seconds of a step's ranks; SUM and extremes are of single steps. Of Lin's S only what the work of "
        "whole ranks shows: a step record does not tell micro-batches apart, nor slow transfers from waiting",
        "Lin et al., OSDI 2025: actual over ideal step time, the ideal one with equal work on all ranks",
        "busy_seconds",
    ),
    mean("apply_seconds", "latency", "seconds", "ServerSync.apply_seconds", ("shard",)),
    mean("queue_depth", "latency", "pushes", "ServerSync.queue_depth", ("shard",)),
    mean(
        "arrival_spread_seconds", "latency", "seconds",
        "ServerSync.arrival_seconds: last push after the first", ("shard",),
    ),
)  # fmt: skip
