"""Node Verdict: slower than 1.15 times the same stage of the other replicas, in 80 % of the steps.

Source: its published rule, for whole traces. Open choice: the last 10 steps, not the whole trace, which is kinder.
"""

import numpy as np

from gradcube.windows.columns import BoolArray
from tests.bench.diagnosis.comparators.peers import stage_ratio
from tests.bench.diagnosis.recordings import Recording

RATIO = 1.15
SHARE = 0.8
WINDOW_STEPS = 10


def flags(recording: Recording) -> BoolArray:
    """Up while enough of the last steps are slow."""
    above = np.nan_to_num(stage_ratio(recording)) > RATIO
    share = np.zeros(above.shape)
    if len(above) >= WINDOW_STEPS:
        share[WINDOW_STEPS - 1 :] = np.lib.stride_tricks.sliding_window_view(above, WINDOW_STEPS, axis=0).mean(axis=-1)
    enough: BoolArray = share >= SHARE
    return enough
