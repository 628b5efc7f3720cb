"""Quality rules of a cube file: blocks in, `Rule`s that make sense for their columns out."""

from gradcube.cube.declarations.block import Block
from gradcube.cube.model import Column, Rule

# What can be done about a broken rule: a value of another type has no place in the column, a second row of a key is
# one too many, and of a silence there is no row.
ACTIONS = {
    "range": ("reject", "mark", "alert"),
    "required": ("reject", "mark", "alert"),
    "type": ("reject",),
    "unique": ("reject",),
    "fresh": ("alert",),
}


def read_rules(blocks: list[Block], columns: tuple[Column, ...], time: str, key: str) -> tuple[Rule, ...]:
    """In the order of the file."""
    return tuple(_rule(block, {column.name: column for column in columns}, time, key) for block in blocks)


def _rule(block: Block, columns: dict[str, Column], time: str, key: str) -> Rule:
    block.only("rule", "column", "action", "least", "most")
    kind = block.choice("rule", ACTIONS)
    column = columns.get(block.text("column"))
    if column is None or column.kind == "derived":
        raise block.refuse("column", f"column is {block.text('column')!r}; it must be a column that records carry")
    action = block.choice("action", ACTIONS[kind], ACTIONS[kind][0])
    rule = Rule(kind, column.name, action, block.number("least"), block.number("most"))
    _check(block, rule, column, time, key)
    return rule


def _check(block: Block, rule: Rule, column: Column, time: str, key: str) -> None:
    if rule.kind == "range":
        if column.type.name not in ("INTEGER", "BIGINT", "DOUBLE"):
            raise block.refuse("column", f"a range is of numbers, {column.name} is {column.type.name.lower()}")
        if rule.least is None and rule.most is None:
            raise block.refuse("rule", "a range has least, most or both")
        if rule.least is not None and rule.most is not None and rule.least > rule.most:
            raise block.refuse("least", f"least is {rule.least:g}, greater than most {rule.most:g}")
        return
    if rule.least is not None or (rule.most is not None and rule.kind != "fresh"):
        raise block.refuse("rule", f"{rule.kind} has no least or most")
    if rule.kind == "unique" and column.name != key:
        raise block.refuse("column", f"unique is of the key, {key}")
    if rule.kind == "fresh" and (column.name != time or rule.most is None or rule.most <= 0):
        raise block.refuse("rule", f"fresh is of the time column, {time}, with most: seconds since its newest value")
