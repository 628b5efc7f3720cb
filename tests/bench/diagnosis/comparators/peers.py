"""Ratios to stage peers, written anew so that no rule leans on what it is compared with."""

import numpy as np

from gradcube.windows.columns import FloatArray
from tests.bench.diagnosis.recordings import Recording


def stage_ratio(recording: Recording) -> FloatArray:
    """Each rank's own seconds over the median of its stage, itself among them, (s, r); NaN in a stage of one."""
    own = recording.own_seconds()
    ratio = np.full_like(own, np.nan)
    for stage in np.unique(recording.stage):
        at = np.flatnonzero(recording.stage == stage)
        if len(at) > 1:
            ratio[:, at] = own[:, at] / np.median(own[:, at], axis=1, keepdims=True)
    return ratio
