"""A cube's model in, the relations that the store keeps of it out: raw rows and each rollup. Pure functions."""

import json
from collections import Counter
from dataclasses import dataclass, field

from gradcube.cube.model import ROWS_COUNT, CubeModel, Rollup
from gradcube.errors import ConfigError

ARRIVAL = "$ARRIVAL"
"""A column of the files of a cube that keeps the latest: no name of a cube begins so."""


@dataclass(frozen=True)
class Relation:
    """`columns` are (name, DuckDB type) in the order of `select *`; `groups` are a rollup's dimensions, else empty.

    `order` is how day segments are sorted, so that statistics rule most of a file out; files of any order are read.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    groups: tuple[str, ...]
    order: tuple[str, ...] = field(compare=False)


@dataclass(frozen=True)
class Layout:
    """All that the rows of one version of a cube have in common: a cube of another layout is another version.

    `reading` is the cube's: rows of other records, or of the same ones read in another way, do not belong together.
    """

    cube: str
    time: str
    key: str
    latest: bool
    carry: tuple[str, ...]
    reading: tuple[tuple[str, str], ...]
    relations: tuple[Relation, ...]

    @property
    def raw(self) -> Relation:
        """The cube's own rows."""
        return self.relations[0]

    def relation(self, name: str) -> Relation:
        """By name. Raises KeyError."""
        return next(one for one in self.relations if one.name == name)

    def to_json(self) -> str:
        """As the manifest keeps it."""
        relations = [[one.name, one.columns, one.groups, one.order] for one in self.relations]
        return json.dumps([self.cube, self.time, self.key, self.latest, self.carry, self.reading, relations])

    @staticmethod
    def from_json(text: str) -> "Layout":
        """What `to_json` wrote."""
        cube, time, key, latest, carry, reading, relations = json.loads(text)
        read = tuple((name, value) for name, value in reading)
        return Layout(cube, time, key, latest, tuple(carry), read, tuple(_relation(*one) for one in relations))


def layout_of(model: CubeModel) -> Layout:
    """Raises ConfigError for rollups of a cube that keeps the latest row of a key: a sum cannot take one back."""
    if model.retention.latest and model.rollups:
        raise ConfigError(
            f"cube {model.name}: rollup {model.rollups[0].name} sums rows up that `latest` drops later; leave out one"
        )
    order = sort_order(model)
    columns = tuple((column.name, column.type.name) for column in model.stored)
    raw = Relation(model.name, columns, (), order)
    return Layout(
        model.name,
        model.time,
        model.key,
        model.retention.latest,
        model.retention.carry,
        model.reading,
        (raw, *(_rollup(model, one, order) for one in model.rollups)),
    )


def sort_order(model: CubeModel) -> tuple[str, ...]:
    """The rollups' dimensions, then the time: what is grouped by is filtered by, and first what is mandatory."""
    counts = Counter(name for rollup in model.rollups for name in rollup.dimensions)
    counts.update({name: len(model.rollups) for rollup in model.rollups for name in rollup.mandatory})
    derived = {column.name for column in model.of_kind("derived")}
    ranked = sorted((name for name in counts if name not in derived), key=lambda name: -counts[name])
    return (*ranked, model.time)


def _rollup(model: CubeModel, rollup: Rollup, order: tuple[str, ...]) -> Relation:
    dimensions = []
    for name in rollup.dimensions:
        column = model.column(name)
        if column is None or column.kind not in ("dimension", "derived"):
            raise ConfigError(f"cube {model.name}: rollup {rollup.name}: {name} is no dimension or derived column")
        dimensions.append((name, column.type.name))
    measures = []
    for column in model.of_kind("measure"):
        total = "BIGINT" if column.type.name in ("BIGINT", "INTEGER") else "DOUBLE"
        measures += [(f"{column.name}__SUM", total)]
        measures += [(f"{column.name}__{what}", column.type.name) for what in ("MIN", "MAX")]
    groups = tuple(rollup.dimensions)
    ordered = tuple(name for name in order if name in groups) + tuple(name for name in groups if name not in order)
    columns = (*dimensions, (ROWS_COUNT, "BIGINT"), *measures)
    return Relation(model.relation(rollup), columns, groups, ordered)


def _relation(name: str, columns: list[list[str]], groups: list[str], order: list[str]) -> Relation:
    return Relation(name, tuple((column, kind) for column, kind in columns), tuple(groups), tuple(order))
