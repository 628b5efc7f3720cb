"""Where the columns of a statement come from, once `naming` has been over it: tables by their aliases, and types."""

from sqlglot import exp

from gradcube.cube.model import ROWS_COUNT, Catalog, Column, CubeModel
from gradcube.cube.naming import CTE_PREFIX, outermost

MAX_STEPS = 64
"""Of a value into what it is made of."""


def sources_of(select: exp.Select) -> dict[str, exp.Expr]:
    """What stands after FROM and JOIN, by alias: Table, or Subquery."""
    clause = select.args.get("from_")
    found = [clause.this] if clause is not None else []
    found += [join.this for join in select.args.get("joins") or ()]
    return {source.alias_or_name: source for source in found}


def cube_of(source: exp.Expr, catalog: Catalog) -> CubeModel | None:
    """The cube whose rows, or whose rollup's rows, a source is."""
    return catalog.cubes.get(source.name.partition("__")[0]) if isinstance(source, exp.Table) else None


def column_of(node: exp.Column, catalog: Catalog) -> tuple[CubeModel, Column] | None:
    """The cube's column that a column of a statement is directly; None for one of a subquery, and for an alias."""
    select = node.parent_select
    if not isinstance(select, exp.Select):
        return None
    for alias, source in sources_of(select).items():
        cube = cube_of(source, catalog) if node.table in ("", alias) else None
        if cube is not None and (column := cube.column(node.name)) is not None:
            return cube, column
    return None


def origin_of(node: exp.Column, catalog: Catalog, steps: int = MAX_STEPS) -> tuple[CubeModel, Column] | None:
    """As `column_of`, also through subqueries and WITH that give a cube's column on as it is."""
    if (found := column_of(node, catalog)) is not None or steps == 0:
        return found
    select = node.parent_select
    if not isinstance(select, exp.Select):
        return None
    for alias, source in sources_of(select).items():
        query = _query_of(source, select) if node.table in ("", alias) else None
        place = None if query is None else _place(query, node.name)
        if query is not None and place is not None:
            output = outermost(query).expressions[place].unalias()
            return origin_of(output, catalog, steps - 1) if isinstance(output, exp.Column) else None
    return None


class WholeNumbers:
    """Which values are whole numbers (Kylin's INTEGER and BIGINT), so that their sums and quotients are, too.

    Looks at each node once, and not deeper than `MAX_STEPS`: behind that a value counts as not whole.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[int, bool] = {}

    def has(self, node: exp.Expr | None, steps: int = MAX_STEPS) -> bool:
        """The tree must not change between two calls."""
        if node is None or steps == 0:
            return False
        if id(node) not in self._known:
            self._known[id(node)] = False  # a name that leads back to itself is none
            self._known[id(node)] = self._look(node, steps - 1)
        return self._known[id(node)]

    def _look(self, node: exp.Expr, steps: int) -> bool:
        if isinstance(node, exp.Column):
            return self._column(node, steps)
        if isinstance(node, exp.Literal):
            return not node.is_string and str(node.name).isdigit()
        if isinstance(node, exp.Cast):
            return node.to.this.name in ("INT", "BIGINT", "SMALLINT", "TINYINT")
        if isinstance(node, exp.Extract):
            return str(node.this.name).upper() != "EPOCH"
        if isinstance(node, _ALWAYS):
            return True
        if isinstance(node, exp.Subquery):
            return self._output(node.this, 0, steps)
        parts = _parts(node)
        return bool(parts) and all(isinstance(part, exp.Null) or self.has(part, steps) for part in parts)

    def _column(self, node: exp.Column, steps: int) -> bool:
        if (found := column_of(node, self._catalog)) is not None:
            return _is_whole_type(found[1])
        select = node.parent_select
        if not isinstance(select, exp.Select):
            return False
        for alias, source in sources_of(select).items():
            if node.table not in ("", alias):
                continue
            if (cube := cube_of(source, self._catalog)) is not None and _is_of_rollup(node.name):
                measure = cube.column(node.name.partition("__")[0])
                return measure is None or _is_whole_type(measure)
            query = _query_of(source, select)
            if query is not None and (place := _place(query, node.name)) is not None:
                return self._output(query, place, steps)
        return False

    def _output(self, query: exp.Expr, place: int, steps: int) -> bool:
        if steps == 0 or not isinstance(query, exp.Query):
            return False
        if isinstance(query, exp.SetOperation):
            return all(self._output(side, place, steps - 1) for side in (query.this, query.expression))
        if isinstance(query, exp.Subquery):
            return self._output(query.this, place, steps - 1)
        outputs = query.expressions
        return place < len(outputs) and self.has(outputs[place], steps)


_ALWAYS = (exp.Count, exp.ApproxDistinct, exp.RowNumber, exp.Rank, exp.DenseRank, exp.Length, exp.IntDiv)
_SAME_AS_FIRST = (
    exp.Paren, exp.Neg, exp.Sum, exp.Min, exp.Max, exp.Avg, exp.Abs, exp.Window, exp.Filter, exp.Alias, exp.Lag,
    exp.Lead, exp.FirstValue, exp.LastValue,
)  # fmt: skip


def _parts(node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, exp.Distinct):
        return list(node.expressions)
    if isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.Div | exp.Mod):
        return [node.this, node.expression]
    if isinstance(node, exp.Coalesce | exp.Greatest | exp.Least):
        return [node.this, *node.expressions]
    if isinstance(node, exp.Case):
        default = node.args.get("default")
        return [*(one.args["true"] for one in node.args["ifs"]), *([default] if default is not None else [])]
    return [node.this] if isinstance(node, _SAME_AS_FIRST) else []


def _is_whole_type(column: Column) -> bool:
    return column.type.name in ("INTEGER", "BIGINT")


def _is_of_rollup(name: str) -> bool:
    return name == ROWS_COUNT or "__" in name


def _query_of(source: exp.Expr, select: exp.Select) -> exp.Query | None:
    if isinstance(source, exp.Subquery):
        return source.this if isinstance(source.this, exp.Query) else None
    scope: exp.Expr | None = select
    while scope is not None and source.name.startswith(CTE_PREFIX):
        clause = scope.args.get("with_")
        for cte in clause.expressions if clause is not None else ():
            if cte.alias == source.name:
                return cte.this if isinstance(cte.this, exp.Query) else None
        scope = scope.parent
    return None


def _place(query: exp.Query, name: str) -> int | None:
    names = [output.alias_or_name for output in outermost(query).expressions]
    return names.index(name) if name in names else None
