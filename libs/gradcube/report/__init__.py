"""One page about a trace: verdict, heat map, culprits against peers, loss, findings, in HTML that needs nothing."""

from gradcube.report.page import write_report

__all__ = ["write_report"]
