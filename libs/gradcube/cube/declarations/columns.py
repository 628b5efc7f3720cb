"""The columns of a cube file: blocks in, `Column`s and what their values are taken from out."""

import re
from dataclasses import dataclass

from gradcube.cube.declarations.block import Block
from gradcube.cube.kylin_types import parse_type
from gradcube.cube.model import DERIVED_UNITS, FUNCTIONS, KINDS, ROWS_COUNT, Column
from gradcube.cube.reserved import RESERVED_WORDS

NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_KEYS = ("kind", "type", "doc", "functions", "from", "when", "words")
_SUMMABLE = ("DOUBLE", "BIGINT", "INTEGER")
_DEFAULT_FUNCTIONS = {"measure": ("sum", "min", "max")}


@dataclass(frozen=True)
class Taken:
    """Where a column's value comes from; see `Source`."""

    path: str | None
    when: tuple[tuple[str, str, str], ...]
    words: tuple[tuple[str, str, str], ...]


def check_name(block: Block, key: str, name: str) -> str:
    """The name, if SQL can say it without quotes; ConfigError otherwise."""
    if not NAME.fullmatch(name) or "__" in name or name == ROWS_COUNT:
        raise block.refuse(
            key,
            f"{name!r} is no name: use up to 64 upper-case letters, digits and single underscores, "
            f"and not {ROWS_COUNT}",
        )
    if name in RESERVED_WORDS:
        raise block.refuse(key, f"{name} is a reserved word of Kylin's SQL; call it {name}_ID, {name}_NAME or the like")
    return name


def read_columns(block: Block) -> tuple[tuple[Column, ...], dict[str, Taken]]:
    """Every column in the order of the file, and where each is taken from."""
    columns, taken = [], {}
    for name in block.names():
        check_name(block, name, name)
        body = block.block(name, f"column {name}").only(*_KEYS)
        columns.append(_column(name, body))
        taken[name] = Taken(
            body.text("from") if "from" in body else None,
            tuple((name, *pair) for pair in _pairs(body, "when")),
            tuple((name, *pair) for pair in _pairs(body, "words")),
        )
    return tuple(columns), taken


def _pairs(body: Block, key: str) -> list[tuple[str, str]]:
    if key not in body:
        return []
    inner = body.block(key, f"{body.what}, {key}")
    return [(name, inner.text(name)) for name in inner.names()]


def _column(name: str, body: Block) -> Column:
    kind = body.choice("kind", KINDS)
    try:
        kylin_type = parse_type(body.text("type"))
    except ValueError as error:
        raise body.refuse("type", str(error)) from error
    functions = body.texts("functions") or _DEFAULT_FUNCTIONS.get(kind, ())
    if unknown := [one for one in functions if one not in FUNCTIONS]:
        raise body.refuse("functions", f"there is no function {unknown[0]!r}; known are {', '.join(FUNCTIONS)}")
    column = Column(name, kind, kylin_type, body.text("doc", ""), tuple(functions))
    _check_kind(body, column)
    return column


def _check_kind(body: Block, column: Column) -> None:
    kind, type_name = column.kind, column.type.name
    if kind == "derived":
        if column.name not in DERIVED_UNITS:
            raise body.refuse("kind", f"derived ones are {', '.join(DERIVED_UNITS)}, by their names")
        wanted = "DATE" if column.name == "DAY_START" else "TIMESTAMP"
        if type_name != wanted:
            raise body.refuse("type", f"{column.name} is a {wanted.lower()}, as Kylin derives it")
        if body.names() and ("from" in body or "when" in body):
            raise body.refuse("from", "a derived column is taken from the time column alone")
    if kind == "measure" and type_name not in _SUMMABLE:
        raise body.refuse("type", f"a measure is a number ({', '.join(_SUMMABLE).lower()}), not {type_name.lower()}")
    if kind == "time" and type_name != "TIMESTAMP":
        raise body.refuse("type", "the time column is a timestamp")
