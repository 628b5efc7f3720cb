"""The line that a person reads while findings come in."""

from rich.text import Text

from gradcube.cli.findings import line_of
from gradcube.diagnosis.findings import Finding, Subject


def test_line_has_time_job_state_and_the_verdict_as_it_is() -> None:
    told = Finding(
        "id", "bert[1]", 0, "STRAGGLER", "OPENED", Subject(rank=3), 44, 46, None, 0, 1_750_000_005_000_000, 1.6, 0.98,
        (), "rank 3 is slow [bold]; check node-b",
    )  # fmt: skip
    line = Text.from_markup(line_of(told))
    assert line.plain == "15:06:45 bert[1] opened straggler: rank 3 is slow [bold]; check node-b"
    assert "[red]" in line_of(told)
    assert "[green]" in line_of(told.updated("CLOSED"))
