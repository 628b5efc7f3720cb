"""Recorded traces: a tidy table in, the rows of a live run out, step by step."""

from gradcube.traces.fields import FIELD_OF_METRIC
from gradcube.traces.reader import Trace, read_trace

__all__ = ["FIELD_OF_METRIC", "Trace", "read_trace"]
