"""Three sigma: a rank's time over the mean of its own last 128 steps by more than three standard deviations.

Source: the textbook rule (Shewhart 1931). Open choice: it needs 16 steps, and does not look at the stage peers.
"""

import numpy as np

from gradcube.windows.columns import BoolArray
from tests.bench.diagnosis.recordings import Recording

SIGMAS = 3.0
WINDOW_STEPS = 128
NEEDED_STEPS = 16


def flags(recording: Recording) -> BoolArray:
    """Up at every step beyond."""
    seconds = recording.own_seconds()
    beyond = np.zeros(seconds.shape, bool)
    for at in range(NEEDED_STEPS, len(seconds)):
        window = seconds[max(0, at - WINDOW_STEPS) : at]
        beyond[at] = seconds[at] > window.mean(axis=0) + SIGMAS * window.std(axis=0)
    return beyond
