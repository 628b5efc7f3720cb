"""Which field of StepSync a metric of a trace is: the same names, or those that other recorders give them."""

from gradcube.events import COUNT_FIELDS, FLOAT_FIELDS

FIELD_OF_METRIC = {name: name for name in (*FLOAT_FIELDS, *COUNT_FIELDS)} | {
    "forward_compute_seconds": "forward_seconds",
    "backward_compute_seconds": "backward_seconds",
    "bucket_grad_absmax": "bucket_absmax",
}
"""Other metrics of a trace are not read."""
