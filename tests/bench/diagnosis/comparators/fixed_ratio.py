"""A fixed ratio: slower than 1.04 times the stage's median, three steps in a row.

Source: the rule of thumb behind Holmes's limit (NSDI 2025: delta >= 1.04), with the continuity that Minder asks for.
"""

import numpy as np

from gradcube.windows.columns import BoolArray
from tests.bench.diagnosis.comparators.peers import stage_ratio
from tests.bench.diagnosis.recordings import Recording

RATIO = 1.04
IN_A_ROW = 3


def flags(recording: Recording) -> BoolArray:
    """Up from the third slow step on."""
    above = np.nan_to_num(stage_ratio(recording)) > RATIO
    held = above.copy()
    for back in range(1, IN_A_ROW):
        held[back:] &= above[:-back]
    held[: IN_A_ROW - 1] = False
    return held
