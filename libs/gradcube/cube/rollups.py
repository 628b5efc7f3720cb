"""Routing: a SELECT that sums up one cube reads the smallest rollup that gives the same answer, else raw rows.

A rollup has, for each combination of its dimensions, ROWS_COUNT and of each measure m its m__SUM, m__MIN and m__MAX;
it is always summed up again, since rows of one combination arrive in several batches.
"""

from collections.abc import Iterator

from sqlglot import exp

from gradcube.cube.model import ROWS_COUNT, Catalog, CubeModel, Rollup
from gradcube.cube.rollup_times import finest_time, stand_in
from gradcube.cube.scopes import cube_of, sources_of
from gradcube.cube.whole_numbers import as_bigint, truncated

Swap = tuple[exp.Expr, exp.Expr]

# Calls by name that are functions of one row; any other may look at many.
_PLAIN_CALLS = frozenset({"DATE_SUB", "CHAR_LENGTH", "CHARACTER_LENGTH"})


def route(tree: exp.Query, catalog: Catalog) -> None:
    """Changes the tree in place, after `name_as_kylin` and `expand_views`."""
    for select in list(tree.find_all(exp.Select)):
        table = _only_table(select)
        cube = catalog.cubes.get(table.name) if table is not None else None
        if table is not None and cube is not None and _sums_up(select):
            _route(select, table, cube, catalog)


def _route(select: exp.Select, table: exp.Table, cube: CubeModel, catalog: Catalog) -> None:
    for rollup in sorted(cube.rollups, key=lambda one: len(one.dimensions)):
        swaps = _swaps(select, table.alias, cube, rollup, catalog)
        if swaps is not None:
            for old, new in swaps:
                old.replace(new)
            table.this.set("this", cube.relation(rollup))
            return


def _only_table(select: exp.Select) -> exp.Table | None:
    sources = list(sources_of(select).values())
    return sources[0] if len(sources) == 1 and isinstance(sources[0], exp.Table) else None


def _own(select: exp.Select) -> Iterator[exp.Expr]:
    """The nodes of the SELECT but those of its WITH, which cannot see its table."""
    return select.walk(prune=lambda node: isinstance(node, exp.With))


def _aggregates(select: exp.Select) -> list[exp.AggFunc]:
    """Calls that the SELECT sums its rows up with; one with OVER is not among them."""
    return [
        node
        for node in _own(select)
        if isinstance(node, exp.AggFunc) and node.parent_select is select and not _is_over(node)
    ]


def _is_over(node: exp.Expr) -> bool:
    while isinstance(node.parent, exp.Filter | exp.IgnoreNulls | exp.RespectNulls):
        node = node.parent
    return isinstance(node.parent, exp.Window) and node.parent.this is node


def _sums_up(select: exp.Select) -> bool:
    if select.args.get("group") or _aggregates(select):
        return True
    distinct = select.args.get("distinct")
    return distinct is not None and not distinct.args.get("on") and select.find(exp.Window) is None


def _swaps(select: exp.Select, alias: str, cube: CubeModel, rollup: Rollup, catalog: Catalog) -> list[Swap] | None:
    """What to replace so that the SELECT reads the rollup; None if it cannot."""
    if _hides_a_column(select, cube) or not _is_plain(select):
        return None
    swaps: list[Swap] = []
    for call in _aggregates(select):
        found = _aggregate(call, cube, rollup)
        if found is None:
            return None
        swaps += [(call, new) for new in found]
    settled = {id(node) for call, _ in swaps for node in call.walk()}
    finest = finest_time(cube, rollup)
    for node in _own(select):
        if not isinstance(node, exp.Column) or id(node) in settled or not _is_ours(node, select, alias, catalog):
            continue
        column = cube.column(node.name)
        if column is None or column.name in rollup.dimensions:
            continue
        replacement = None
        if finest and column.kind in ("time", "derived") and not _is_alias(node, select):
            replacement = stand_in(node, finest)
        if replacement is None:
            return None
        swaps.append((node, replacement))
    return swaps


def _is_alias(node: exp.Column, select: exp.Select) -> bool:
    """Whether the name may mean an output instead of a column, as it does in ORDER BY."""
    if node.table or node.find_ancestor(exp.Order, exp.Having) is None:
        return False
    return any(isinstance(one, exp.Alias) and one.alias == node.name for one in select.expressions)


def _is_plain(select: exp.Select) -> bool:
    """Without a star but count(*), and without a call of which we do not know that it looks at one row only."""
    for node in _own(select):
        if isinstance(node, exp.Star) and not isinstance(node.parent, exp.Count) and node.parent_select is select:
            return False
        if isinstance(node, exp.Anonymous) and node.name.upper() not in _PLAIN_CALLS and node.parent_select is select:
            return False
    return True


def _hides_a_column(select: exp.Select, cube: CubeModel) -> bool:
    """Whether the statement has a name of its own that a rollup has for a column."""
    made = {ROWS_COUNT} | {
        f"{column.name}__{what}" for column in cube.of_kind("measure") for what in ("SUM", "MIN", "MAX")
    }
    return any(node.name in made for node in select.find_all(exp.Identifier))


def _is_ours(node: exp.Column, select: exp.Select, alias: str, catalog: Catalog) -> bool:
    """Whether the column can be one of this SELECT's table; an inner query's own comes first."""
    scope = node.parent_select
    while scope is not None and scope is not select:
        for name, source in sources_of(scope).items() if isinstance(scope, exp.Select) else ():
            cube = cube_of(source, catalog)
            if node.table == name or (not node.table and cube is not None and cube.column(node.name)):
                return False
        scope = scope.parent_select
    return node.table in ("", alias)


def _aggregate(call: exp.AggFunc, cube: CubeModel, rollup: Rollup) -> list[exp.Expr] | None:
    """What the call is over a rollup: [] as it stands, [other], or None if a rollup cannot tell."""
    value = call.this
    column = cube.column(value.name) if isinstance(value, exp.Column) else None
    measure = column if column is not None and column.kind == "measure" else None
    if isinstance(value, exp.Distinct) or isinstance(call, exp.ApproxDistinct):
        return []  # the same over the rollup's rows, if it has their columns, which are looked at like any others
    if isinstance(call, exp.Min | exp.Max):
        return [] if measure is None else [_over(call, value, type(call).__name__.upper())]
    if isinstance(call.parent, exp.Filter):
        return None
    if isinstance(call, exp.Count) and not call.expressions:
        if isinstance(value, exp.Star | exp.Literal) or measure is not None:  # a measure is never null
            return [_count(_rows())]
        return [_count_of(value)] if column is not None and column.name in rollup.dimensions else None
    if measure is not None and isinstance(call, exp.Sum):
        return [_over(call, value, "SUM")]
    if measure is not None and isinstance(call, exp.Avg):
        return [_mean(value, measure.type.name != "DOUBLE")]
    return None


def _over(call: exp.AggFunc, value: exp.Column, what: str) -> exp.Expr:
    """The same call over the rollup's column."""
    column = value.copy()
    column.this.set("this", f"{value.name}__{what}")
    return type(call)(this=column)


def _rows() -> exp.Expr:
    return exp.column(exp.to_identifier(ROWS_COUNT, quoted=True))


def _count(rows: exp.Expr) -> exp.Expr:
    """Of no row the count is 0, a sum would be null."""
    return exp.Coalesce(this=exp.Sum(this=rows), expressions=[exp.Literal.number(0)])


def _count_of(dimension: exp.Column) -> exp.Expr:
    absent = exp.If(this=exp.Is(this=dimension.copy(), expression=exp.Null()), true=exp.Literal.number(0))
    return _count(exp.Case(ifs=[absent], default=_rows()))


def _mean(value: exp.Column, is_whole: bool) -> exp.Expr:
    total = exp.Cast(this=_over(exp.Sum(this=value.copy()), value, "SUM"), to=exp.DataType.build("double"))
    mean = exp.Div(this=total, expression=exp.Sum(this=_rows()))
    return as_bigint(truncated(mean)) if is_whole else exp.Paren(this=mean)
