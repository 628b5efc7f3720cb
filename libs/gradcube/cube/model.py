"""The declared cube: a YAML file of columns in, a validated `CubeModel` out."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gradcube.cube.kylin_types import KylinType, parse_type
from gradcube.errors import ConfigError
from gradcube.events.registry import schemas_dir

KINDS = ("time", "derived", "dimension", "measure")
DERIVED_UNITS = {"MINUTE_START": "minute", "HOUR_START": "hour", "DAY_START": "day"}
_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


@dataclass(frozen=True)
class Column:
    """One column: `kind` is one of `KINDS`; a derived column follows from the time column."""

    name: str
    kind: str
    type: KylinType
    doc: str


@dataclass(frozen=True)
class Rollup:
    """Rows summed up over all dimensions but `dimensions` (dimension and derived columns) as they arrive."""

    name: str
    dimensions: tuple[str, ...]


@dataclass(frozen=True)
class Retention:
    """`days` by the time column, None: for ever. `latest`: of each key only the row with the greatest time counts."""

    days: int | None = None
    latest: bool = False


@dataclass(frozen=True)
class Source:
    """How a record of the topic becomes a row: flat JSON whose fields are the columns, or Avro of `schema`.

    `fields` names the field of each column where it is not the column's own name.
    """

    format: str = "json"
    schema: str | None = None
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Rule:
    """A quality rule: `kind` is range, required, unique or fresh; `action` is reject, mark or alert."""

    kind: str
    column: str
    action: str = "reject"
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class CubeModel:
    """A cube: `name` is its table's, `time` the event-time column, `key` the unique id of a row."""

    name: str
    topic: str
    time: str
    key: str
    columns: tuple[Column, ...]
    rollups: tuple[Rollup, ...] = ()
    retention: Retention = Retention()
    source: Source = Source()
    rules: tuple[Rule, ...] = ()

    def of_kind(self, *kinds: str) -> tuple[Column, ...]:
        """The columns of these kinds, in the order of the file."""
        return tuple(column for column in self.columns if column.kind in kinds)

    @property
    def wire(self) -> tuple[Column, ...]:
        """The columns that a record carries: all but the derived ones."""
        return self.of_kind("time", "dimension", "measure")

    @property
    def stored(self) -> tuple[Column, ...]:
        """The columns in the order of Kylin's `select *`: measures, dimensions, derived times."""
        return (*self.of_kind("measure"), *self.of_kind("time", "dimension"), *self.of_kind("derived"))

    def column(self, name: str) -> Column | None:
        """The column of that (upper-case) name."""
        return next((column for column in self.columns if column.name == name), None)


def load_cube(path: Path | None = None) -> CubeModel:
    """Reads a cube file (default: schemas/cubes/facts.yaml). Raises ConfigError naming file and column."""
    path = path or schemas_dir() / "cubes" / "facts.yaml"
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as a cube: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("columns"), dict):
        raise ConfigError(f"{path}: a cube is a mapping with name, topic, time, key and columns")
    for field in ("name", "topic", "time", "key"):
        if not isinstance(document.get(field), str):
            raise ConfigError(f"{path}: {field} is {document.get(field)!r}; it must be a text")
    columns = tuple(_column(path, name, body) for name, body in document["columns"].items())
    model = CubeModel(document["name"], document["topic"], document["time"], document["key"], columns)
    _check(path, model)
    return model


def _column(path: Path, name: Any, body: Any) -> Column:
    where = f"{path}: column {name}"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: a name is upper-case letters, digits and underscores")
    if not isinstance(body, dict):
        raise ConfigError(f"{where}: is {body!r}; it must be a mapping with kind and type")
    if body.get("kind") not in KINDS:
        raise ConfigError(f"{where}: kind is {body.get('kind')!r}; it must be one of {', '.join(KINDS)}")
    try:
        kylin_type = parse_type(str(body.get("type")))
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
    return Column(name, body["kind"], kylin_type, str(body.get("doc", "")))


def _check(path: Path, model: CubeModel) -> None:
    if not _NAME.fullmatch(model.name):
        raise ConfigError(f"{path}: name is {model.name!r}; use upper-case letters, digits and underscores")
    times = [column.name for column in model.of_kind("time")]
    if times != [model.time]:
        raise ConfigError(f"{path}: column {model.time}: the one column of kind time must be it, found {times}")
    key = model.column(model.key)
    if key is None or key.kind != "dimension" or key.type.name != "VARCHAR":
        raise ConfigError(f"{path}: column {model.key}: the key must be a varchar dimension")
    for column in model.of_kind("derived"):
        if column.name not in DERIVED_UNITS:
            raise ConfigError(f"{path}: column {column.name}: derived ones are {', '.join(DERIVED_UNITS)}")
    for column in model.of_kind("measure"):
        if column.type.name not in ("DOUBLE", "BIGINT", "INTEGER"):
            raise ConfigError(f"{path}: column {column.name}: a measure is a number, not {column.type.name}")
