"""The declared cube as the engines see it: what `gradcube.cube.declarations` makes of a YAML file, and asks of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gradcube.cube.kylin_types import KylinType

KINDS = ("time", "derived", "dimension", "measure")
DERIVED_UNITS = {"MINUTE_START": "minute", "HOUR_START": "hour", "DAY_START": "day"}
FUNCTIONS = ("count", "sum", "min", "max", "distinct", "percentile")
ROWS_COUNT = "ROWS_COUNT"
RECORD_TIME = "$timestamp"
"""As a field path: the time of the record itself in Kafka."""


@dataclass(frozen=True)
class Column:
    """One column: `kind` is one of `KINDS`; a derived column follows from the time column.

    `functions` are those of `FUNCTIONS` that every engine answers for it; the embedded one answers all.
    """

    name: str
    kind: str
    type: KylinType
    doc: str
    functions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rollup:
    """Rows summed up over all dimensions but `dimensions` (dimension and derived columns) as they arrive.

    It is an aggregation group of Kylin's: of its cuboids, each has all `mandatory` dimensions, one of a hierarchy only
    with those before it, and of a joint all or none. The embedded engine holds the one with all dimensions.
    """

    name: str
    dimensions: tuple[str, ...]
    mandatory: tuple[str, ...] = ()
    hierarchies: tuple[tuple[str, ...], ...] = ()
    joints: tuple[tuple[str, ...], ...] = ()
    doc: str = ""


@dataclass(frozen=True)
class Retention:
    """`days` by the time column, None: for ever. `latest`: of each key only the row with the greatest time counts.

    Of two with equal times it is the one that came later. A column of `carry` that is null in it has the value of the
    latest row of the key in which it isn't: what only an earlier record knew, such as when a job started.
    """

    days: int | None = None
    latest: bool = False
    carry: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unpivot:
    """A record becomes a row for each of `fields` that it has: its name in column `name`, its value in `value`.

    So an absent measurement is an absent row, and no measure is ever null, which Kylin would count as 0.
    """

    name: str
    value: str
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """How a record of the topic becomes a row: flat JSON whose fields are the columns, or Avro of `schema`.

    `fields` gives each column its field: `a.b` is field b of field a; `a/b` is the texts of both with a `/` between,
    the form of the topics' keys; `$timestamp` is the record's own time. A column without is its own name. `when`
    (column, field, value): null unless the field has the value. `words` (column, from, to): what a value is called.
    `declarations.records` applies all of it.
    """

    format: str = "json"
    schema: str | None = None
    fields: tuple[tuple[str, str], ...] = ()
    when: tuple[tuple[str, str, str], ...] = ()
    words: tuple[tuple[str, str, str], ...] = ()
    unpivot: Unpivot | None = None


@dataclass(frozen=True)
class Filter:
    """Records whose `field` is none of `values` are no rows of the cube."""

    field: str
    values: tuple[str | int | bool, ...]


@dataclass(frozen=True)
class Rule:
    """A quality rule of a column, and what becomes of a row that breaks it.

    `kind`: range (`least` to `most`), required (not null, not ''), type (as declared), unique (the key), fresh (the
    newest time is at most `most` seconds old). `action`: reject (to the dead letters; of unique, the second row is
    left out), mark (kept and counted), alert (kept, counted and told).
    """

    kind: str
    column: str
    action: str = "reject"
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class CubeModel:
    """A cube: `name` is its table's, `time` the event-time column, `key` the unique id of a row.

    `partition` is the derived time by whose values data is cut and pruned; embedded files are those of a day.
    """

    name: str
    topic: str
    time: str
    key: str
    columns: tuple[Column, ...]
    rollups: tuple[Rollup, ...] = ()
    retention: Retention = Retention()
    source: Source = Source()
    rules: tuple[Rule, ...] = ()
    filters: tuple[Filter, ...] = ()
    partition: str | None = None
    doc: str = ""

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

    @property
    def reading(self) -> tuple[tuple[str, str], ...]:
        """Which records become rows, and how, as (what, value): with any of it changed, the rows are others.

        What is about one column begins with its name.
        """
        source = self.source
        pivot = source.unpivot or Unpivot("", "", ())
        return (
            ("topic", self.topic),
            ("format", source.format),
            ("schema", str(source.schema)),
            *((f"{column} field", field) for column, field in source.fields),
            *((f"{column} when", f"{field} is {value}") for column, field, value in source.when),
            *((f"{column} word {before}", after) for column, before, after in source.words),
            *((f"unpivot {field}", f"{pivot.name}, {pivot.value}") for field in pivot.fields),
            *((f"filter {one.field}", ", ".join(map(str, one.values))) for one in self.filters),
        )

    def column(self, name: str) -> Column | None:
        """The column of that (upper-case) name."""
        return next((column for column in self.columns if column.name == name), None)

    def relation(self, rollup: Rollup) -> str:
        """The name of the rollup's relation in the embedded engine."""
        return f"{self.name}__{rollup.name}"


@dataclass(frozen=True)
class DeclaredView:
    """A named question: `sql` is one SELECT of Kylin's dialect over cubes and views before it."""

    name: str
    doc: str
    sql: str


@dataclass(frozen=True)
class Catalog:
    """Everything that can be asked: cubes and views by their upper-case names, which they do not share."""

    cubes: Mapping[str, CubeModel]
    views: Mapping[str, DeclaredView] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that may stand after FROM."""
        return (*self.cubes, *self.views)


def load_cube(path: Path | None = None) -> CubeModel:
    """Reads a cube file (default: schemas/cubes/facts.yaml). Raises ConfigError naming file and line."""
    from gradcube.cube.declarations.catalog import cubes_dir  # they are made of the classes above
    from gradcube.cube.declarations.cube import read_cube

    return read_cube(path or cubes_dir() / "facts.yaml")


def load_catalog(directory: Path | None = None) -> Catalog:
    """Reads every cube file and views.yaml of a folder (default: schemas/cubes). Raises ConfigError."""
    from gradcube.cube.declarations.catalog import read_catalog  # as above

    return read_catalog(directory)
