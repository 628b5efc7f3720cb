from pathlib import Path

from gradcube.windows.describe import describe
from gradcube.windows.metrics import METRICS

DOCUMENT = Path(__file__).resolve().parents[3] / "docs/metrics.md"


def test_document_is_current() -> None:
    assert DOCUMENT.read_text() == describe(), "run: python -m gradcube.windows.describe > docs/metrics.md"


def test_no_two_metrics_of_one_kind_share_a_name() -> None:
    names = [(kind, metric.name) for metric in METRICS for kind in metric.kinds]
    assert len(names) == len(set(names))


def test_every_metric_is_in_a_family_of_the_cube() -> None:
    families = {"quality", "latency", "throughput", "stability", "robustness", "resource", "dependency"}
    assert {metric.family for metric in METRICS} == families
    assert all(metric.unit and metric.formula and metric.source for metric in METRICS)
