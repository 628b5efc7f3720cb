"""Recorded traces: a tidy table in, the rows of a live run out, step by step; and from a live run to such a table."""

from gradcube.traces.fields import FIELD_OF_METRIC
from gradcube.traces.offline import findings_of
from gradcube.traces.reader import Trace, read_trace
from gradcube.traces.writer import TraceWriter

__all__ = ["FIELD_OF_METRIC", "Trace", "TraceWriter", "findings_of", "read_trace"]
