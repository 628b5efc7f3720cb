"""Which numbers of a row are accumulated, and under which name: the columns of the accumulators' matrices.

Rows come in; a matrix (rows, names) goes out, NaN where a row has no value.
"""

import numpy as np

from gradcube.events import COUNT_FIELDS, FLOAT_FIELDS, MISSING
from gradcube.windows.columns import FloatArray, IntArray
from gradcube.windows.rows import StepRows

TIMINGS = (
    "step_seconds", "data_seconds", "forward_seconds", "backward_seconds", "sync_wait_seconds",
    "optimizer_seconds", "cpu_seconds",
)  # fmt: skip
SKETCHED = (*TIMINGS, "staleness")
"""Names that have percentiles."""
DERIVED = ("compute_seconds", "sync_wait_ratio", "update_ratio", "masked_accuracy_ratio", "nonfinite_count")
BOOKKEEPING = ("records", "dropped_records", "late_records", "duplicate_records", "clock_skew_seconds")
STEP_COLUMNS = (*FLOAT_FIELDS, *COUNT_FIELDS, *DERIVED, *BOOKKEEPING)
COLUMN = {name: at for at, name in enumerate(STEP_COLUMNS)}
_WATCHED = ("loss", "grad_norm", "global_grad_norm", "update_norm", "param_norm")


def step_samples(rows: StepRows, skew_seconds: FloatArray) -> FloatArray:
    """(rows, STEP_COLUMNS); `skew_seconds` (rows,) is how far each row's clock was ahead, NaN when it was right."""
    floats = rows.floats.astype(np.float64)
    counts = np.where(rows.counts == MISSING, np.nan, rows.counts)
    of = {name: floats[:, at] for at, name in enumerate(FLOAT_FIELDS)}
    of |= {name: counts[:, at] for at, name in enumerate(COUNT_FIELDS)}
    infinite = sum(np.isinf(of[name]).astype(np.int64) for name in _WATCHED)
    table = np.full((len(rows), len(STEP_COLUMNS)), np.nan)
    table[:, : floats.shape[1]] = floats
    table[:, floats.shape[1] : floats.shape[1] + counts.shape[1]] = counts
    with np.errstate(divide="ignore", invalid="ignore"):
        table[:, COLUMN["compute_seconds"]] = of["forward_seconds"] + of["backward_seconds"]
        table[:, COLUMN["sync_wait_ratio"]] = of["sync_wait_seconds"] / of["step_seconds"]
        table[:, COLUMN["update_ratio"]] = of["update_norm"] / of["param_norm"]
        # A row that predicted without saying how many were right says nothing about accuracy.
        table[:, COLUMN["masked_accuracy_ratio"]] = of["correct"] / of["predicted"]
    # The record counts its own loss already; this is for the writers that do not.
    table[:, COLUMN["nonfinite_count"]] = np.maximum(np.nan_to_num(of["nonfinite"]), infinite)
    table[:, COLUMN["records"]] = 1
    table[:, COLUMN["dropped_records"]] = rows.dropped
    table[:, COLUMN["clock_skew_seconds"]] = skew_seconds
    return table


def bookkeeping(series: IntArray, column: str) -> FloatArray:
    """(rows, STEP_COLUMNS) that counts one in `column` for each row, and nothing else."""
    table = np.full((len(series), len(STEP_COLUMNS)), np.nan)
    table[:, COLUMN[column]] = 1
    return table
