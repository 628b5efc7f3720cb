import re
from pathlib import Path
from textwrap import dedent

from gradcube.cube.declarations.describe import HEAD, describe
from gradcube.cube.model import Catalog, load_cube

DOCUMENT = Path(__file__).resolve().parents[3] / "docs/cubes.md"


def test_document_is_current(catalog: Catalog) -> None:
    way = "run: python -m gradcube.cube.declarations.describe > docs/cubes.md"
    assert DOCUMENT.read_text() == describe(catalog), way


def test_the_example_is_a_cube(tmp_path: Path) -> None:
    example = re.search(r"^    name: PUSHES.*?(?=\n\n|\n\Z)", HEAD, re.DOTALL | re.MULTILINE)
    assert example is not None
    path = tmp_path / "pushes.yaml"
    path.write_text(dedent(example[0]) + "\n")
    cube = load_cube(path)
    assert (cube.name, cube.rollups[0].dimensions) == ("PUSHES", ("DAY_START", "JOB", "SHARD"))
