"""Aggregation groups of a cube file, in Kylin's meaning: a block in, the rollups that are kept out."""

from math import prod

from gradcube.cube.declarations.block import Block
from gradcube.cube.declarations.columns import check_name
from gradcube.cube.model import Column, Rollup

MAX_COMBINATIONS = 32_768
"""Cuboids of a group that Kylin accepts: kylin.cube.aggrgroup.max-combination."""


def read_groups(block: Block, columns: tuple[Column, ...], key: str) -> tuple[Rollup, ...]:
    """One rollup a group."""
    return tuple(_group(block, name, columns, key) for name in block.names())


def _group(block: Block, name: str, columns: tuple[Column, ...], key: str) -> Rollup:
    check_name(block, name, name)
    body = block.block(name, f"group {name}").only("dimensions", "mandatory", "hierarchy", "joint", "doc")
    dimensions = body.texts("dimensions")
    known = [column.name for column in columns if column.kind in ("dimension", "derived") and column.name != key]
    _among(body, "dimensions", dimensions, known)
    rollup = Rollup(
        name, dimensions, body.texts("mandatory"), body.lists("hierarchy"), body.lists("joint"), body.text("doc", "")
    )
    for part, names in _parts(rollup):
        _among(body, part, names, dimensions)
    _check_parts(body, rollup)
    return rollup


def _among(body: Block, key: str, names: tuple[str, ...], known: "list[str] | tuple[str, ...]") -> None:
    if key == "dimensions" and not names:
        raise body.refuse(key, "dimensions are missing; name those that a query may filter and group by")
    for name in names:
        if name not in known:
            raise body.refuse(
                key, f"{key} has {name!r}, which is none of its dimensions; these can be: {', '.join(known)}"
            )
    if twice := {name for name in names if names.count(name) > 1}:
        raise body.refuse(key, f"{key} has {min(twice)} twice; name it once")


def _parts(rollup: Rollup) -> list[tuple[str, tuple[str, ...]]]:
    return [
        ("mandatory", rollup.mandatory),
        *(("hierarchy", one) for one in rollup.hierarchies),
        *(("joint", one) for one in rollup.joints),
    ]


def _check_parts(body: Block, rollup: Rollup) -> None:
    seen: dict[str, str] = {}
    for part, names in _parts(rollup):
        if part != "mandatory" and len(names) < 2:
            raise body.refuse(part, f"a {part} has at least two dimensions, this one has {len(names)}")
        for name in names:
            if name in seen:
                raise body.refuse(part, f"{name} is in its {part} and its {seen[name]}; Kylin allows one of them")
            seen[name] = part
    if (count := combinations(rollup)) > MAX_COMBINATIONS:
        raise body.refuse(
            "dimensions",
            f"its dimensions make {count} combinations, Kylin builds at most {MAX_COMBINATIONS}; "
            "make some mandatory, a hierarchy or joint",
        )


def combinations(rollup: Rollup) -> int:
    """Cuboids of the group: a hierarchy of n gives n + 1 choices, a joint and any other dimension two."""
    bound = sum(len(names) for _, names in _parts(rollup))
    free = len(rollup.dimensions) - bound + len(rollup.joints)
    return prod(len(one) + 1 for one in rollup.hierarchies) * (1 << free)
