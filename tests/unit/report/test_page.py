"""The page as a file: what it says first, that nothing of the trace can act in it, that it asks nobody for anything."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from tests.unit.report.making import finding, slow, trace

from gradcube.diagnosis.findings import Subject
from gradcube.errors import DataError
from gradcube.events import FLOAT_FIELDS, registry
from gradcube.report import write_report
from gradcube.report.charts import pieces, ticks
from gradcube.report.episodes import WORST_FIRST

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"' onload=alert(3) &lt; $data ${verdict}"
VOID = {"meta", "img", "br", "hr", "input", "link", "line", "rect", "path"}


class Page(HTMLParser):
    """Elements and attributes as a browser sees them, the texts of scripts apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]] = self.texts.get(self._open[-1], "") + data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "report.html"


def data_of(text: str) -> dict[str, object]:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_worst_open_finding_is_the_first_sentence(file: Path) -> None:
    findings = [
        finding(Subject(rank=1), 3, verdict="rank 1 is slow"),
        finding(Subject(), 5, 9, kind="HANG", state="CLOSED", verdict="the job was stuck"),
        finding(Subject(rank=2), 6, kind="FAIL_SLOW", verdict="rank 2 became slow"),
    ]
    write_report(file, trace(), findings)
    assert Page(file.read_text()).texts["h1"] == "rank 2 became slow"


def test_every_kind_of_the_schema_has_its_place() -> None:
    (kind,) = (field for field in registry().latest("Finding").parsed["fields"] if field["name"] == "kind")
    assert sorted(WORST_FIRST) == sorted(kind["type"]["symbols"])


def test_without_findings_it_says_so(file: Path) -> None:
    write_report(file, trace(), [])
    page = Page(file.read_text())
    assert page.texts["h1"] == "Nothing found"
    assert "No finding names a rank" in file.read_text()


def test_what_is_over_is_told_after_that_nothing_goes_on(file: Path) -> None:
    opened = finding(Subject(rank=3), 10, verdict="rank 3 is slow")
    closed = finding(Subject(rank=3), 10, 20, state="CLOSED", verdict="rank 3 is back to normal")
    write_report(file, trace(), [opened, closed])
    assert Page(file.read_text()).texts["h1"] == "Nothing found that goes on at the end; before it: rank 3 is slow"
    assert "rank 3 is back to normal" in file.read_text()


def test_text_from_the_trace_stays_text(file: Path) -> None:
    said = finding(Subject(rank=3, node=EVIL), 4, verdict=EVIL)
    harmless, hostile = file.with_name("harmless.html"), file
    write_report(harmless, trace(node="n"), [finding(Subject(rank=3, node="n"), 4, verdict="v")])
    write_report(hostile, trace(job=EVIL, node=EVIL), [said])
    plain, page = Page(harmless.read_text()), Page(hostile.read_text())
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    assert page.texts["h1"] == EVIL
    assert not any(name.startswith("on") or name == "style" for _, attributes in page.elements for name in attributes)


def test_page_asks_nobody_for_anything(file: Path) -> None:
    write_report(file, trace(), [finding(Subject(rank=3), 4)])
    text = file.read_text()
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<link|<iframe|fetch\(|XMLHttp|import\(", text)
    loading = {"src", "href", "srcset", "action", "data", "poster"}
    targets = {value for _, attributes in Page(text).elements for name, value in attributes.items() if name in loading}
    assert targets == {"#findings"}


def test_policy_allows_the_own_script_and_style_and_nothing_else(file: Path) -> None:
    write_report(file, trace(), [])
    text = file.read_text()
    (policy,) = (attributes["content"] for _, attributes in Page(text).elements if "http-equiv" in attributes)
    for tag in ("style", "script"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in (policy or "")
    assert (policy or "").startswith("default-src 'none'")
    assert "unsafe" not in (policy or "")


def test_culprit_is_marked_with_every_step_and_drawn_against_its_peers(file: Path) -> None:
    write_report(file, slow(trace(8, 40), 3, 20, 29, 1.5), [finding(Subject(rank=3, node="node-0"), 20, 29)])
    data = data_of(file.read_text())
    (marked,) = data["marked"]  # type: ignore[misc]
    cells = np.frombuffer(base64.b64decode(marked["cells"]), np.uint8)
    assert (marked["rank"], marked["row"]) == (3, 3)
    assert len(cells) == 40
    assert cells[20:30].min() > cells[:20].max()
    assert "rank 3 on node-0 against its peers" in file.read_text()
    assert '<path class="band"' in file.read_text()


def test_loss_and_gradient_norm_shade_every_episode(file: Path) -> None:
    spikes = [finding(Subject(), 5, 7, kind="LOSS_SPIKE", state="CLOSED"), finding(Subject(), 30, kind="DIVERGENCE")]
    write_report(file, trace(), spikes)
    charts = re.findall(r"<svg.*?</svg>", file.read_text(), re.DOTALL)
    assert [re.findall(r"<title>(.*?)</title>", chart)[0] for chart in charts] == ["loss", "gradient norm"]
    assert [chart.count('class="shade"') for chart in charts] == [2, 2]
    assert "LOSS_SPIKE of the job from step 5 to 7" in charts[0]


def test_every_picture_has_words_for_those_who_do_not_see_it(file: Path) -> None:
    write_report(file, trace(), [finding(Subject(rank=3), 4)])
    page = Page(file.read_text())
    images = [attributes for tag, attributes in page.elements if tag in ("svg", "canvas")]
    assert all("aria-label" in one or one.get("role") == "img" or one.get("aria-hidden") for one in images)
    assert page.count("desc") == page.count("svg") == 3
    assert [attributes["lang"] for tag, attributes in page.elements if tag == "html"] == ["en"]
    for rule in ("prefers-color-scheme: dark", "@media print", "break-inside: avoid"):
        assert rule in page.texts["style"]


@pytest.mark.parametrize(("ranks", "steps"), [(1, 1), (1, 50), (2, 3), (3, 2)])
def test_small_traces_have_a_page(ranks: int, steps: int, file: Path) -> None:
    write_report(file, trace(ranks, steps, stages=1), [finding(Subject(rank=0), 0)])
    assert data_of(file.read_text())["rows"] == ranks


def test_trace_with_nothing_but_gaps_has_a_page(file: Path) -> None:
    empty = trace()
    empty.rows.floats[:] = np.nan
    empty.rows.floats[0, FLOAT_FIELDS.index("loss")] = np.inf
    write_report(file, empty, [])
    assert "neither loss nor gradient norm" in file.read_text()


def test_page_of_many_ranks_and_findings_stays_small(file: Path) -> None:
    many = [finding(Subject(rank=rank), step, step + 1, state="CLOSED") for rank in range(50) for step in range(20)]
    write_report(file, trace(2100, 120), many)
    data = data_of(file.read_text())
    assert (data["rows"], data["columns"]) == (700, 120)
    assert data["ranks"][-1] == [2097, 2099]  # type: ignore[index]
    assert len(data["marked"]) == 12  # type: ignore[arg-type]
    assert "500 more are not shown" in file.read_text()
    assert file.stat().st_size < 1_500_000


def test_page_of_many_steps_stays_small(file: Path) -> None:
    write_report(file, trace(1, 200_000, stages=1), [finding(Subject(rank=0), 150_000)])
    data = data_of(file.read_text())
    assert data["steps"][-1] == [199_800, 199_999]  # type: ignore[index]
    assert file.stat().st_size < 200_000


def test_file_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be written"):
        write_report(tmp_path / "absent" / "report.html", trace(), [])


def test_thinned_line_keeps_its_spike_and_its_gap() -> None:
    values = np.zeros(10_000)
    values[6_543], values[2_000:4_000] = 9.0, np.nan
    runs = pieces(values)
    assert len(runs) == 2
    assert (6_543, 9.0) in runs[1]
    assert sum(map(len, runs)) < 600


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.11, 0.13), (-5, 7e9), (3, 3), (0, 0), (1e-9, 2e-9)])
def test_ticks_are_few_and_hold_the_range(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 2 <= len(found) <= 7
    assert found[0] <= low <= high <= found[-1] or low == high


@pytest.mark.skipif(shutil.which("node") is None, reason="node runs the page's script; it is not installed")
def test_script_reads_what_was_written() -> None:
    script = resources.files("gradcube.report").joinpath("report.js").read_text()
    asked = """
    const page = module.exports;
    const data = { columns: 2, rows: 2, span: 2, own: false, attempts: [], ranks: [[0, 2], [3, 3]],
      steps: [[100, 109], [110, 110]] };
    const cells = Uint8Array.from([0, 128, 255, 200]);
    console.log(JSON.stringify([page.cellText(data, cells, 0, 0), page.cellText(data, cells, 0, 1),
      page.cellText(data, cells, 1, 0), Array.from(page.bytesOf("AIAB/w==")),
      Array.from(page.shrink(Uint8Array.from([1, 2, 3, 9, 5, 6, 7, 8]), 4, 2, 2, 1)),
      page.paletteOf({ faster: [0, 0, 255], even: [255, 255, 255], slower: [255, 0, 0], none: [9, 9, 9] })
        .filter((_, level) => [0, 1, 128, 255].includes(level))]));
    """
    run = subprocess.run(["node", "-e", script + asked], capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(run.stdout) == [
        "ranks 0 to 2, steps 100 to 109: not reported",
        "ranks 0 to 2, step 110: at most 1.00x of its stage peers",
        "rank 3, steps 100 to 109: at most 2.00x or more of its stage peers",
        [0, 128, 1, 255],
        [6, 9],
        [[9, 9, 9], [0, 0, 255], [255, 255, 255], [255, 0, 0]],
    ]
