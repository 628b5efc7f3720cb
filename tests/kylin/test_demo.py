"""The demo of the README on Apache Kylin: the same story, the same books."""

import json
from pathlib import Path

from tests.e2e.test_demo import demo, processes_of


def test_story_and_books_are_those_of_the_readme(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = demo(tmp_path, "--engine", "kylin", "--json", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every step and every fact is accounted for" in done.stdout
    told = json.loads(report.read_text())
    assert told["rank"] == told["slowed_rank"]
    assert told["counts"]["facts_written"] == told["counts"]["rows_in_the_cube"] > 0
    assert [len(answer["rows"]) > 0 for answer in told["sql"]] == [True, True, True]
    assert not processes_of(tmp_path), "something was left running"
