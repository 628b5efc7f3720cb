"""Robustness: whether the records themselves can be trusted, who holds the others up, and what had to start again."""

import numpy as np

from gradcube.windows.metrics.declare import OF_STEPS, Measures, Metric, count, mean, of_course, single
from gradcube.windows.peers import peer_ratio
from gradcube.windows.views import View

_OF_SERVERS = ("job", "shard")


def _straggle(view: View) -> Measures:
    return single(view.greatest(peer_ratio(view.ranks.mean("compute_seconds"), view.ranks.stages())))


def _version_lag(view: View) -> Measures:
    """Behind the newest version that any rank of the attempt used in the window."""
    newest = view.ranks.most("version")
    attempts, inverse = np.unique([subject.attempt for subject in view.ranks.subjects], return_inverse=True)
    of_attempt = np.full(len(attempts), -np.inf)
    np.maximum.at(of_attempt, inverse, newest)
    with np.errstate(invalid="ignore"):
        return single(view.greatest(of_attempt[inverse] - newest))


METRICS = (
    count("records", "robustness", "step records counted in the window"),
    count("dropped_records", "robustness", "StepSync.dropped: what the monitor could not send"),
    count("late_records", "robustness", "came after their window was written; counted in the one that was open"),
    count("duplicate_records", "robustness", "the same attempt, rank and seq under another offset"),
    mean(
        "clock_skew_seconds", "robustness", "seconds", "rank's clock less the broker's, of corrected records",
        (*OF_STEPS, "node"),
    ),
    Metric(
        "straggle_ratio", "robustness", "ratio", OF_STEPS,
        "mean compute_seconds of the rank / median of the other ranks of its stage; of a stage or job the greatest",
        "Lin et al., OSDI 2025", "compute_seconds", _straggle,
    ),
    Metric(
        "version_lag", "robustness", "versions", OF_STEPS,
        "newest version that any rank used in the window less the rank's newest; of a stage or job the greatest",
        "StepSync.version", "version", _version_lag,
    ),
    count("dropped_updates", "robustness", "ServerSync.dropped: pushes left out, late or of old members", _OF_SERVERS),
    count("stale_updates", "robustness", "ServerSync.staleness: pushes computed from an old version", _OF_SERVERS),
    count("pushes", "robustness", "ServerSync.rank: pushes that took part", _OF_SERVERS),
    of_course(
        "restarts", "restarts", "robustness", "count",
        "number of the attempt, from 0; METRIC_SUM is 1 in the window in which a later attempt was first seen",
        "StepSync.attempt", "records",
    ),
)  # fmt: skip
