"""Which numbers of a row are accumulated, and under which name: the columns of the accumulators' matrices.

Rows come in; a matrix (rows, names) goes out, NaN where a row has no value.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from gradcube.events import COUNT_FIELDS, FLOAT_FIELDS, MISSING
from gradcube.windows.columns import FloatArray, IntArray
from gradcube.windows.rows import StepRows
from gradcube.windows.settings import MICROS, Clipping

TIMINGS = (
    "step_seconds", "data_seconds", "forward_seconds", "backward_seconds", "sync_wait_seconds",
    "optimizer_seconds", "cpu_seconds",
)  # fmt: skip
SKETCHED = (*TIMINGS, "staleness", "append_delay_seconds")
"""Names that have percentiles."""
DERIVED = (
    "compute_seconds", "busy_seconds", "sync_wait_ratio", "update_ratio", "masked_accuracy_ratio", "nonfinite_count",
    "reliable_output_ratio", "grad_square", "global_grad_square", "clipped_ratio",
)  # fmt: skip
BOOKKEEPING = (
    "records", "dropped_records", "late_records", "duplicate_records", "clock_skew_seconds", "append_delay_seconds",
    "append_lag_seconds",
)  # fmt: skip
STEP_COLUMNS = (*FLOAT_FIELDS, *COUNT_FIELDS, *DERIVED, *BOOKKEEPING)
COLUMN = {name: at for at, name in enumerate(STEP_COLUMNS)}
_WATCHED_AT = [COLUMN[name] for name in ("loss", "grad_norm", "global_grad_norm", "update_norm", "param_norm")]


def step_samples(
    rows: StepRows, event_micros: IntArray, clipping: Mapping[int, Clipping] = MappingProxyType({})
) -> FloatArray:
    """(rows, STEP_COLUMNS); `event_micros` (rows,) is when each happened, by the broker's clock where that is right.

    `clipping` is that of each attempt that is known to clip.
    """
    floats = rows.floats.astype(np.float64)
    counts = np.where(rows.counts == MISSING, np.nan, rows.counts)
    table = np.full((len(rows), len(STEP_COLUMNS)), np.nan)
    table[:, : floats.shape[1]] = floats
    table[:, floats.shape[1] : floats.shape[1] + counts.shape[1]] = counts
    with np.errstate(divide="ignore", invalid="ignore"):
        _derive(table)
    for attempt, threshold in clipping.items():
        _mark_clipped(table, np.flatnonzero(rows.attempt == attempt), threshold)
    _keep_books(table, rows, event_micros)
    return table


def _derive(table: FloatArray) -> None:
    of = {name: table[:, at] for name, at in COLUMN.items()}
    of["compute_seconds"][:] = of["forward_seconds"] + of["backward_seconds"]
    of["busy_seconds"][:] = of["step_seconds"] - of["sync_wait_seconds"]
    of["sync_wait_ratio"][:] = of["sync_wait_seconds"] / of["step_seconds"]
    of["update_ratio"][:] = of["update_norm"] / of["param_norm"]
    # A row that predicted without saying how many were right says nothing about accuracy.
    of["masked_accuracy_ratio"][:] = of["correct"] / of["predicted"]
    # The record counts its own loss already; this is for the writers that do not.
    infinite = np.isinf(table[:, _WATCHED_AT]).sum(axis=1)
    of["nonfinite_count"][:] = np.maximum(np.nan_to_num(of["nonfinite"]), infinite)
    of["reliable_output_ratio"][:] = of["nonfinite_count"] == 0
    # Only where both are known: one without the other says nothing about their ratio.
    of["grad_square"][:] = of["grad_norm"] ** 2 + 0.0 * of["global_grad_norm"]
    of["global_grad_square"][:] = of["global_grad_norm"] ** 2 + 0.0 * of["grad_norm"]


def _mark_clipped(table: FloatArray, at: IntArray, threshold: Clipping) -> None:
    """1 where a norm that was taken is above its threshold, 0 where none is, NaN where none was taken."""
    clipped = np.full(len(at), np.nan)
    for name, limit in (("global_grad_norm", threshold.grad_norm), ("grad_norm", threshold.own_grad_norm)):
        norm = table[at, COLUMN[name]]
        if limit is not None:
            clipped = np.fmax(clipped, np.where(np.isfinite(norm), norm > limit, np.nan))
    table[at, COLUMN["clipped_ratio"]] = clipped


def _keep_books(table: FloatArray, rows: StepRows, event_micros: IntArray) -> None:
    skew = (rows.ended_at_micros - event_micros) / MICROS
    table[:, COLUMN["records"]] = 1
    table[:, COLUMN["dropped_records"]] = rows.dropped
    table[:, COLUMN["clock_skew_seconds"]] = np.where(skew == 0, np.nan, skew)
    table[:, COLUMN["append_delay_seconds"]] = np.maximum(rows.appended_at_micros - event_micros, 0) / MICROS
    table[:, COLUMN["append_lag_seconds"]] = (rows.appended_at_micros - rows.ended_at_micros) / MICROS


def bookkeeping(series: IntArray, column: str) -> FloatArray:
    """(rows, STEP_COLUMNS) that counts one in `column` for each row, and nothing else."""
    table = np.full((len(series), len(STEP_COLUMNS)), np.nan)
    table[:, COLUMN[column]] = 1
    return table
