"""Which field of a step record a metric of a trace is, and names that mean a known field in another unit."""

from collections.abc import Sequence

from gradcube.errors import TraceError
from gradcube.events import COUNT_FIELDS, FLOAT_FIELDS

BUCKET_ABSMAX = "bucket_absmax"
BOOKKEEPING = ("seq", "dropped")
"""What a monitor says about its own records; a trace need not have them."""

FIELD_OF_METRIC = {name: name for name in (*FLOAT_FIELDS, *COUNT_FIELDS, BUCKET_ABSMAX, *BOOKKEEPING)} | {
    "forward_compute_seconds": "forward_seconds",
    "backward_compute_seconds": "backward_seconds",
    "bucket_grad_absmax": BUCKET_ABSMAX,
}
"""Other metrics of a trace are not read."""

WHOLE_FIELDS = frozenset((*COUNT_FIELDS, *BOOKKEEPING))
"""Fields that count something: their values are whole and not negative."""

FOREIGN_UNITS = ("ms", "msec", "millis", "milliseconds", "us", "micros", "microseconds", "ns", "nanoseconds", "minutes")


def check_names(names: Sequence[str]) -> None:
    """Raises TraceError for a time in another unit than seconds, for two names of one field, or when none is known."""
    for name in names:
        stem, _, unit = name.rpartition("_")
        if unit in FOREIGN_UNITS and f"{stem}_seconds" in FIELD_OF_METRIC:
            raise TraceError(f"metric {name!r} is not in seconds; convert its values and name it {stem}_seconds")
    owner: dict[str, str] = {}
    for name in names:
        field = FIELD_OF_METRIC.get(name, name)
        if owner.setdefault(field, name) != name:
            raise TraceError(f"metrics {owner[field]!r} and {name!r} both mean {field}; keep one of them")
    if not any(name in FIELD_OF_METRIC for name in names):
        found = ", ".join(sorted(names)[:8])
        raise TraceError(f"none of its metrics is known (it has {found}); step_seconds or loss would be, see traces.md")
