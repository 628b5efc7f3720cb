"""A folder of declarations: every `*.yaml` is a cube but `views.yaml`, which names questions. A `Catalog` comes out."""

from pathlib import Path

from gradcube.cube.declarations.block import read_block
from gradcube.cube.declarations.columns import check_name
from gradcube.cube.declarations.cube import read_cube
from gradcube.cube.model import Catalog, CubeModel, DeclaredView
from gradcube.errors import ConfigError
from gradcube.events.registry import schemas_dir

VIEWS_FILE = "views.yaml"


def cubes_dir() -> Path:
    """Of this installation."""
    return schemas_dir() / "cubes"


def read_catalog(directory: Path | None = None) -> Catalog:
    """Raises ConfigError naming file and line; also for a folder without a cube, and for a name that is there twice."""
    folder = directory or cubes_dir()
    cubes: dict[str, CubeModel] = {}
    for path in sorted(folder.glob("*.yaml")):
        if path.name == VIEWS_FILE:
            continue
        model = read_cube(path)
        if model.name in cubes:
            raise ConfigError(f"{path}: cube {model.name} is declared in another file too; rename one")
        cubes[model.name] = model
    if not cubes:
        raise ConfigError(f"{folder} has no cube file (*.yaml); give a folder with cubes")
    views = read_views(folder / VIEWS_FILE) if (folder / VIEWS_FILE).exists() else {}
    if both := sorted(cubes.keys() & views.keys()):
        raise ConfigError(f"{folder / VIEWS_FILE}: {both[0]} is a cube; call the view otherwise")
    return Catalog(cubes, views)


def read_views(path: Path) -> dict[str, DeclaredView]:
    """`NAME: {doc, sql}`. The SQL is read when it is expanded: see `gradcube cube validate`."""
    block = read_block(path, "views")
    views = {}
    for name in block.names():
        check_name(block, name, name)
        body = block.block(name, f"view {name}").only("doc", "sql")
        views[name] = DeclaredView(name, body.text("doc"), body.text("sql").strip())
    return views
