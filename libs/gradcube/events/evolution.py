"""What a new version of a schema may change: `evolution_problems(older, newer)` says what it may not have.

FULL compatibility both ways, and stricter: every added or removed field has a default, nothing is renamed, enums and
unions only keep or (enums) append, and a number only widens. A widened number is the one change that readers must be
upgraded for first; `without_widening` undoes it, so that the rest can be checked in that direction too.
"""

from typing import Any

WIDENING = ("int", "long", "float", "double")


def evolution_problems(older: Any, newer: Any, path: str = "") -> list[str]:
    """One sentence for each change that is not allowed, naming the field; empty when `newer` may be published.

    Both are schemas as read from JSON, with named types written out where they are used.
    """
    if _kind(older) != _kind(newer):
        return [] if widens(older, newer) else [f"{path or 'schema'}: {_kind(older)} became {_kind(newer)}"]
    if isinstance(older, list):
        return _union_problems(older, newer, path)
    if not isinstance(older, dict) or not isinstance(newer, dict):
        return []
    problems = _name_problems(older, newer, path)
    if older["type"] == "record":
        return problems + _record_problems(older, newer, path)
    if older["type"] == "enum":
        return problems + _enum_problems(older, newer, path)
    if older["type"] == "fixed" and older["size"] != newer["size"]:
        problems.append(f"{path}: fixed size {older['size']} became {newer['size']}")
    for inner in {"items", "values"} & older.keys():
        problems += evolution_problems(older[inner], newer[inner], f"{path}[]")
    return problems


def widens(older: Any, newer: Any) -> bool:
    """Whether every value of the older number type can be read as the newer one."""
    kinds = (_kind(older), _kind(newer))
    return all(kind in WIDENING for kind in kinds) and WIDENING.index(kinds[0]) < WIDENING.index(kinds[1])


def without_widening(older: Any, newer: Any) -> Any:
    """`newer` with each number that is wider than in `older` as narrow as it was there."""
    if widens(older, newer):
        return older
    if isinstance(older, list) and isinstance(newer, list):
        matched = [without_widening(*pair) for pair in zip(older, newer, strict=False)]
        return matched + newer[len(matched) :]
    if not isinstance(older, dict) or not isinstance(newer, dict):
        return newer
    narrowed = dict(newer)
    for inner in {"type", "items", "values"} & older.keys() & newer.keys():
        narrowed[inner] = without_widening(older[inner], newer[inner])
    if "fields" in older and "fields" in newer:
        before = {field["name"]: field for field in older["fields"]}
        narrowed["fields"] = [without_widening(before.get(field["name"]), field) for field in newer["fields"]]
    return narrowed


def _kind(schema: Any) -> str:
    if isinstance(schema, list):
        return "union"
    return str(schema["type"] if isinstance(schema, dict) else schema)


def _name_problems(older: dict[str, Any], newer: dict[str, Any], path: str) -> list[str]:
    names = [(schema.get("namespace"), schema.get("name")) for schema in (older, newer)]
    return [f"{path or 'schema'}: {names[0]} was renamed to {names[1]}"] if names[0] != names[1] else []


def _record_problems(older: dict[str, Any], newer: dict[str, Any], path: str) -> list[str]:
    before, after = ({field["name"]: field for field in schema["fields"]} for schema in (older, newer))
    problems = [
        f"{path}.{name}: {what} without a default"
        for what, one, other in (("added", after, before), ("removed", before, after))
        for name in one.keys() - other.keys()
        if "default" not in one[name]
    ]
    problems += [f"{path}.{name}: renamed by an alias" for name, field in after.items() if field.get("aliases")]
    for name in before.keys() & after.keys():
        problems += evolution_problems(before[name]["type"], after[name]["type"], f"{path}.{name}")
        if "default" in before[name] and "default" not in after[name]:
            problems.append(f"{path}.{name}: lost its default")
    return sorted(problems)


def _enum_problems(older: dict[str, Any], newer: dict[str, Any], path: str) -> list[str]:
    before, after = older["symbols"], newer["symbols"]
    problems = []
    if after[: len(before)] != before:
        problems.append(f"{path}: symbols {before} may only be appended to, they are {after}")
    if after != before and not ("default" in older and "default" in newer):
        problems.append(f"{path}: new symbols need an enum with a default in both versions")
    return problems


def _union_problems(older: list[Any], newer: list[Any], path: str) -> list[str]:
    if len(older) != len(newer):
        return [f"{path}: a union of {len(older)} became one of {len(newer)}"]
    return [p for pair in zip(older, newer, strict=True) for p in evolution_problems(*pair, path)]
