import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cube.facts import value
from typer.testing import CliRunner

from gradcube.cli.main import app
from gradcube.cube.columns import decode_facts
from gradcube.cube.model import load_catalog
from gradcube.cube.store import Store
from gradcube.errors import ConfigError
from gradcube.events.registry import schemas_dir


def run(*arguments: str) -> Any:
    """The exception that it ended with is raised, as `main` gets it."""
    result = CliRunner().invoke(app, ["cube", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def run_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def folder(tmp_path: Path, **changes: str) -> str:
    """The shipped declarations in a folder of their own, with texts of facts.yaml changed."""
    cubes = tmp_path / "cubes"
    cubes.mkdir(exist_ok=True)
    for path in (schemas_dir() / "cubes").glob("*.yaml"):
        text = path.read_text()
        for old, new in changes.items():
            text = text.replace(old, new)
        (cubes / path.name).write_text(text)
    return str(cubes)


def test_shipped_declarations_are_valid() -> None:
    found = run_json("validate")
    assert [cube["cube"] for cube in found["cubes"]] == ["EVALUATIONS", "FACTS", "FINDINGS", "JOBS", "RESOURCES"]
    assert "STRAGGLER_COST" in found["views"]
    assert "FLEET_DAY" in run("validate").stdout


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"MODEL_PARAMETERS: {": "MODEL_PARAMETERS: {knd: x, "}, "facts.yaml:18: column MODEL_PARAMETERS has no 'knd'"),
        ({"gradcube.facts,": "gradcube.fcts,"}, "topic 'gradcube.fcts' is not in schemas/topics.yaml"),
        ({"max(METRIC_MAX)": "max(METRIC_SUM)"}, "add max to the functions of METRIC_SUM"),
        ({"max(MAGNITUDE)": "max(MAGNITUDE * 2)"}, "view LEMON_NODES: MAX"),
        ({"sum(METRIC_SUM) / 3600": "count(distinct METRIC_SUM)"}, "count(distinct ...) of dimensions"),
        ({"NODE is not null": "CONFIDENCE > 0.5"}, "CONFIDENCE stands outside of an aggregate"),
        ({"from FINDINGS": "from FINDNGS"}, "view LEMON_NODES: Object 'FINDNGS' not found"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, changes: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        run("validate", "--cubes", folder(tmp_path, **changes))
    assert words in str(caught.value)


def test_deploy_can_be_repeated_and_diff_tells_what_is_left(tmp_path: Path) -> None:
    store = ["--store", str(tmp_path / "store")]
    assert [step["action"] for step in run_json("diff", *store)["steps"]] == ["create"] * 5
    assert [step["action"] for step in run_json("deploy", *store)] == ["create"] * 5
    assert run_json("deploy", *store) == []
    assert run_json("diff", *store)["unchanged"][0] == "EVALUATIONS"
    assert "as declared" in run("deploy", *store).stdout
    versions = run_json("status", *store)["versions"]
    assert [(one["cube"], one["serving"], one["as_declared"]) for one in versions][1] == ("FACTS", True, True)


def test_changed_cube_is_deployed_beside_the_old_one(tmp_path: Path) -> None:
    store = ["--store", str(tmp_path / "store")]
    run("deploy", *store)
    changed = folder(tmp_path, **{"  SUBJECT_DAY:": "  SUBJECTS:"})
    actions = [step["action"] for step in run_json("diff", "facts", *store, "--cubes", changed)["steps"]]
    assert actions == ["create", "fill", "switch", "retire"]
    run("deploy", *store, "--cubes", changed)
    assert run_json("diff", *store, "--cubes", changed)["steps"] == []


def test_drop_asks_unless_told_not_to(tmp_path: Path) -> None:
    store = ["--store", str(tmp_path / "store")]
    run("deploy", *store)
    assert CliRunner().invoke(app, ["cube", "drop", "jobs", *store], input="n\n").exit_code == 1
    run("drop", "jobs", "--yes", *store)
    assert run_json("status", *store)["not_deployed"] == ["JOBS"]
    with pytest.raises(ConfigError, match="JOBS is not deployed"):
        run("drop", "jobs", "--yes", *store)


def test_exported_days_are_imported_once(tmp_path: Path) -> None:
    one, two = (["--store", str(tmp_path / name)] for name in ("one", "two"))
    model = load_catalog().cubes["FACTS"]
    rows, _ = decode_facts([value(number) for number in (0, 1, 8640)], model)
    with closing(Store(tmp_path / "one", [model])) as store:
        store.write("FACTS", rows, {})
    out = str(tmp_path / "out")
    assert run_json("export", "facts", out, *one) == {"files": 2, "rows": 3, "duplicates": 0}
    assert run_json("import", "facts", out, *two) == {"files": 2, "rows": 3, "duplicates": 0}
    assert "3 more were there already" in run("import", "facts", out, *two).stdout
    with closing(Store(tmp_path / "one", [model])), pytest.raises(ConfigError, match="has it open"):
        run("export", "facts", out, *one)


def test_target_that_does_not_run_and_cube_that_is_not_declared_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Kylin does not run; start it with: gradcube kylin up"):
        run("deploy", "--target", "kylin")
    with pytest.raises(ConfigError, match="NOPE is not declared"):
        run("diff", "nope", "--store", str(tmp_path))
