"""Names in a statement as Kylin takes them: upper case unless quoted, no reserved words, EXPR$n for what has no name.

Afterwards every identifier is quoted, every table has an alias, and a name of a WITH begins with `$`: no table does.
"""

from sqlglot import exp

from gradcube.cube.reserved import RESERVED_WORDS
from gradcube.errors import QueryError

CTE_PREFIX = "$"  # no relation of an engine begins so: a name outside its WITH finds nothing


def name_as_kylin(tree: exp.Query) -> None:
    """Changes the tree in place. Raises QueryError for a reserved word without quotes."""
    for node in list(tree.find_all(exp.Identifier)):
        if not node.args.get("quoted"):
            _refuse_reserved(node)
            node.set("this", node.name.upper())
        node.set("quoted", True)
    _name_tables(tree)
    for select in list(tree.find_all(exp.Select)):
        _name_outputs(select)


def _refuse_reserved(node: exp.Expr) -> None:
    word = node.name.upper()
    if word in RESERVED_WORDS:
        start = node.meta.get("start")
        raise QueryError(
            f'Encountered "{node.name}". {word} is a reserved word.',
            position=None if start is None else int(start) + 1,
            hint=f'Put it in double quotes: "{word}".',
        )


def _name_tables(tree: exp.Query) -> None:
    named = {cte.alias for cte in tree.find_all(exp.CTE)}
    for cte in tree.find_all(exp.CTE):
        cte.args["alias"].this.set("this", CTE_PREFIX + cte.alias)
    for table in tree.find_all(exp.Table):
        name = table.name
        if not table.alias:
            table.set("alias", exp.TableAlias(this=exp.to_identifier(name, quoted=True)))
        if name in named and not table.db:
            table.this.set("this", CTE_PREFIX + name)
        table.set("db", None)
    for column in tree.find_all(exp.Column):
        column.set("db", None)
        column.set("catalog", None)


def _name_outputs(select: exp.Select) -> None:
    for position, output in enumerate(list(select.expressions)):
        if isinstance(output, exp.Alias | exp.Star) or (isinstance(output, exp.Column) and output.is_star):
            continue
        name = output.name if isinstance(output, exp.Column) else f"EXPR${position}"
        output.replace(exp.Alias(this=output.copy(), alias=exp.to_identifier(name, quoted=True)))


def outermost(tree: exp.Expr) -> exp.Select:
    """The SELECT that names the columns of the whole statement."""
    while not isinstance(tree, exp.Select):
        tree = tree.this
    return tree
