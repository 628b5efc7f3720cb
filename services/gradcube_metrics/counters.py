"""What the service has counted since it started: for /status, and for Prometheus under /metrics."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

JOB_COUNTERS = ("records_read", "steps_read", "facts_written", "open_windows")


@dataclass
class Counters:
    """Totals of this process; `jobs` holds JOB_COUNTERS of each job."""

    records_read: int = 0
    records_bad: int = 0
    records_late: int = 0
    records_duplicate: int = 0
    partials_written: int = 0
    partials_read: int = 0
    facts_written: int = 0
    findings_written: int = 0
    jobs: dict[str, dict[str, int]] = field(default_factory=dict)

    def of_job(self, job: str) -> dict[str, int]:
        """The entry of one job, made when it is first heard of."""
        return self.jobs.setdefault(job, dict.fromkeys(JOB_COUNTERS, 0))

    def read_of_job(self, job: str, records: int, *, steps: bool) -> None:
        """Counts records of a source topic that were decoded; `steps` when they are gradient steps."""
        entry = self.of_job(job)
        entry["records_read"] += records
        entry["steps_read"] += records if steps else 0

    def wrote_facts(self, job: str, facts: int) -> None:
        """Counts facts that Kafka has acknowledged."""
        self.facts_written += facts
        self.of_job(job)["facts_written"] += facts

    def totals(self) -> dict[str, int]:
        """The counters that are not by job."""
        return {name: value for name, value in asdict(self).items() if name != "jobs"}


class CounterCollector:
    """Prometheus' view of `counters` and of the gauges lag and open_windows."""

    def __init__(self, counters: Counters, gauges: "Gauges") -> None:
        self._counters = counters
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        """One family a counter and gauge."""
        for name, value in self._counters.totals().items():
            yield CounterMetricFamily(f"gradcube_metrics_{name}", name.replace("_", " "), value=value)
        for name, gauge in self._gauges.as_dict().items():
            yield GaugeMetricFamily(f"gradcube_metrics_{name}", name.replace("_", " "), value=gauge)


@dataclass
class Gauges:
    """Where the service stands now; set by its loop, read by its pages."""

    lag: int = 0
    open_windows: int = 0
    moved_at_seconds: float = 0.0

    def as_dict(self) -> dict[str, int]:
        """Those that are worth a graph."""
        return {"lag": self.lag, "open_windows": self.open_windows}
