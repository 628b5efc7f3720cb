"""Decoded rows and a cube's quality rules in; what is kept, what is rejected and what was counted out. Pure.

`type` is judged by decoding, `unique` by the store, which knows the keys, and `fresh` by `age_seconds`.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gradcube.cube.columns import BadFact
from gradcube.cube.model import CubeModel, Rule
from gradcube.cube.records import Decoded
from gradcube.errors import SchemaError

# Arrow's own scalars: for Python's it looks whether they are of pandas, which takes a second where that is installed.
_NOTHING = pa.scalar("", pa.string())


@dataclass(frozen=True)
class Judged:
    """`counts` has `marked_rows` and `alerts`; `alerts` says each broken rule that asks for one."""

    rows: pa.Table
    bad: list[BadFact]
    counts: dict[str, int]
    alerts: tuple[str, ...]


def judge(decoded: Decoded, model: CubeModel) -> Judged:
    """Applies range and required, in the order of the file; a rejected row is looked at by no later rule."""
    rows, places, bad = decoded.rows, decoded.places, list(decoded.bad)
    counts: Counter[str] = Counter()
    alerts = []
    for rule in model.rules:
        broken = _broken(rule, rows)
        number = int(broken.sum())
        if not number:
            continue
        if rule.action == "reject":
            bad += _rejected(rule, rows, places, broken)
            rows, places = rows.filter(pa.array(~broken)), places[~broken]
        elif rule.action == "mark":
            counts["marked_rows"] += number
        else:
            counts["alerts"] += number
            alerts.append(f"{number} rows break: {sentence(rule)}")
    first = {one.index: one for one in reversed(bad)}
    return Judged(rows, [first[index] for index in sorted(first)], dict(counts), tuple(alerts))


def sentence(rule: Rule) -> str:
    """What the rule asks for, in words."""
    if rule.kind == "required":
        return f"{rule.column} must be there and not empty"
    if rule.kind == "fresh":
        return f"the newest {rule.column} must be at most {rule.most:g} s old"
    bounds = [f"at least {rule.least:g}"] if rule.least is not None else []
    bounds += [f"at most {rule.most:g}"] if rule.most is not None else []
    return f"{rule.column} must be {' and '.join(bounds)}"


def age_seconds(newest_millis: int | None, now_seconds: float) -> float | None:
    """How old the newest row is by its own time; None while there is none."""
    return None if newest_millis is None else max(0.0, now_seconds - newest_millis / 1000)


def stale(model: CubeModel, age: float | None) -> str | None:
    """The sentence of the `fresh` rule that this age breaks, if any."""
    broken = (rule for rule in model.rules if rule.kind == "fresh" and rule.most is not None)
    return next((sentence(rule) for rule in broken if age is not None and age > (rule.most or 0.0)), None)


def _broken(rule: Rule, rows: pa.Table) -> np.ndarray:
    """(rows,) bool."""
    if rule.kind == "required":
        cells = rows[rule.column]
        absent = pc.is_null(cells)
        if pa.types.is_string(cells.type):
            absent = pc.or_(absent, pc.fill_null(pc.equal(cells, _NOTHING), False))
        return np.asarray(absent.to_numpy(), bool)
    if rule.kind != "range":
        return np.zeros(rows.num_rows, bool)
    numbers = pc.cast(rows[rule.column], pa.float64(), safe=False)
    least, most = rule.least, rule.most
    outside = pa.chunked_array([pa.array(np.zeros(rows.num_rows, bool))])
    if least is not None:
        outside = pc.or_(outside, pc.fill_null(pc.less(numbers, pa.scalar(least, pa.float64())), False))
    if most is not None:
        outside = pc.or_(outside, pc.fill_null(pc.greater(numbers, pa.scalar(most, pa.float64())), False))
    return np.asarray(outside.to_numpy(), bool)


def _rejected(rule: Rule, rows: pa.Table, places: np.ndarray, broken: np.ndarray) -> list[BadFact]:
    values = rows[rule.column].filter(pa.array(broken)).to_pylist()
    return [
        BadFact(int(place), SchemaError(f"{rule.column} is {value!r:.80}; {sentence(rule)}"))
        for place, value in zip(places[broken], values, strict=True)
    ]
