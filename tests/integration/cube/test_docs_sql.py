"""docs/sql.md and the README say what works: each of their examples is run, with the test's own port and password."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.integration.cube.foreign_clients import ROOT, cannot, jdbc_jars, write_entry_points
from tests.integration.cube.gateway_process import GatewayProcess

from gradcube.bus.broker_files import java_command

PAGES = {"docs/sql.md": ROOT / "docs" / "sql.md", "README.md": ROOT / "README.md"}
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = "from gradcube.cli.main import main; main()"


def blocks(page: str, language: str) -> list[str]:
    """The examples of a language; of the README those that ask in SQL."""
    found = [text for kind, text in _BLOCK.findall(PAGES[page].read_text()) if kind == language]
    return [text for text in found if page != "README.md" or "7070" in text]


def here(text: str, gateway: GatewayProcess) -> str:
    """The example with the test's own port and password file."""
    text = text.replace("~/.local/state/gradcube/password", str(gateway.directory / "password"))
    return text.replace("ADMIN:PASSWORD@", f"ADMIN:{gateway.password}@").replace("7070", str(gateway.port))


@pytest.mark.parametrize(
    ("page", "place"), [(page, place) for page in PAGES for place in range(len(blocks(page, "python")))]
)
@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")  # kylinpy's
def test_python_example_runs(
    served: GatewayProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str, place: int
) -> None:
    monkeypatch.syspath_prepend(str(write_entry_points(tmp_path)))
    names: dict[str, Any] = {}
    exec(compile(here(blocks(page, "python")[place], served), page, "exec"), names)
    if "frame" in names:
        assert len(names["frame"]) in (2, 100)
    if "rows" in names:
        assert names["rows"] == [("bert", 1.0)]
    if "answer" in names:
        assert names["answer"]["results"][0][0] == "loss"


def test_console_examples_run(served: GatewayProcess, tmp_path: Path) -> None:
    (tmp_path / "questions.sql").write_text("select count(*) as N from FACTS; select 1 as SINGLE;")
    url = f"http://ADMIN@127.0.0.1:{served.port}/gradcube"
    gradcube = f"{sys.executable} -c '{COMMAND}' sql --url {url} --password-file {served.directory / 'password'}"
    outputs = []
    for line in blocks("docs/sql.md", "console")[0].splitlines():
        done = subprocess.run(
            ["bash", "-c", line.replace("gradcube sql", gradcube)],
            cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        outputs.append(done.stdout)
    assert ["101" in outputs[0], '"MOST": 99.0' in outputs[1], outputs[2].split(), "█" in outputs[4]] == [
        True, True, ["N", "101", "SINGLE", "1"], True,
    ]  # fmt: skip
    assert pq.read_table(tmp_path / "facts.parquet").num_rows == 101


def test_java_example_runs(served: GatewayProcess, tmp_path: Path) -> None:
    [source] = blocks("docs/sql.md", "java")
    (tmp_path / "Losses.java").write_text(here(source, served))
    compiler = shutil.which("javac") or cannot("there is no javac; install a JDK 17")
    path = f"{tmp_path}:{jdbc_jars()}/*"
    subprocess.run([compiler, "-cp", path, "-d", str(tmp_path), str(tmp_path / "Losses.java")], check=True)
    java = [java_command(), "-Duser.timezone=UTC", "-cp", path, "Losses", str(served.directory / "password")]
    assert subprocess.run(java, capture_output=True, text=True, check=True, timeout=60).stdout.split() == ["6"]


def test_superset_is_told_what_test_superset_does() -> None:
    """Its URI and engine parameters are those that superset_checks.py gives."""
    page, script = PAGES["docs/sql.md"].read_text(), Path(__file__).with_name("superset_checks.py").read_text()
    assert '{"connect_args": {"password_file": ' in page
    assert '"engine_params": {"connect_args": {"password_file": ' in script
    assert "| SQLAlchemy URI | `kylin+compat://ADMIN@127.0.0.1:7070/gradcube` |" in page
