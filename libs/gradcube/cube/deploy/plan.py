"""The plan: declared cubes and deployed versions in, steps out. Pure; done again after the steps, it is empty."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gradcube.cube.model import Catalog, CubeModel

Shape = Mapping[str, Mapping[str, str]]
"""What a version's rows are: section -> name -> value, as columns -> TS -> TIMESTAMP. Docs and days are no part."""
Action = Literal["create", "fill", "switch", "retire", "drop"]


@dataclass(frozen=True)
class DeployedVersion:
    """One version of a cube in an engine. `serving`: readers see it. `missing`: records until it has what they see.

    None: it reads another topic, and has what they see when it has read all of that.
    """

    cube: str
    number: int
    shape: Shape
    serving: bool
    rows: int
    missing: int | None = 0


@dataclass(frozen=True)
class Step:
    """`number` is the version that is removed; other steps are about the declared one. `why` is for people.

    `retire` removes a version that readers do not see, `drop` one even if they do.
    """

    action: Action
    cube: str
    why: str
    number: int | None = None

    @property
    def title(self) -> str:
        """In a few words."""
        return f"{self.action} {self.cube}{'' if self.number is None else f' version {self.number}'}"


@dataclass(frozen=True)
class Plan:
    """`steps` in their order; `unchanged` cubes are as declared; `undeclared` ones stay until somebody drops them."""

    steps: tuple[Step, ...]
    unchanged: tuple[str, ...] = ()
    undeclared: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """`waits_for` is None when the step is done; doing it again does no harm."""

    step: Step
    waits_for: str | None = None


class Deployment(Protocol):
    """An engine to deploy to. Raises ConfigError when it cannot be reached, or is in use."""

    def deployed(self) -> Sequence[DeployedVersion]:
        """Every version that it has."""

    def why_not(self, model: CubeModel) -> str | None:
        """Why it cannot hold a cube; None when it can."""

    def apply(self, step: Step) -> Outcome:
        """Does one step of a plan; a step that was done before is done."""


def carry_out(engine: Deployment, steps: Iterable[Step], begin: Callable[[Step], object]) -> list[Outcome]:
    """Does the steps one by one; after one that waits, the rest of its cube is left for the next time.

    `begin` is told each step before it is done.
    """
    outcomes: list[Outcome] = []
    waiting: set[str] = set()
    for step in steps:
        begin(step)
        if step.cube not in waiting:
            outcomes.append(engine.apply(step))
            if outcomes[-1].waits_for is not None:
                waiting.add(step.cube)
    return outcomes


def shape_of(model: CubeModel) -> Shape:
    """Of a declaration: a change of it needs other rows, and so a new version."""
    return {
        "columns": {column.name: column.type.name for column in model.columns},
        "groups": {rollup.name: ", ".join(rollup.dimensions) for rollup in model.rollups},
        "rows": {
            "order": " ".join(column.name for column in model.stored),
            "time": model.time,
            "key": model.key,
            "latest": str(model.retention.latest),
            "carry": ", ".join(model.retention.carry),
        },
        "reading": dict(model.reading),
    }


def differences(declared: Shape, deployed: Shape) -> list[str]:
    """One short line each, of the sections that the engine keeps."""
    found = []
    for section, values in deployed.items():
        wanted = declared.get(section, {})
        for name in sorted(wanted.keys() | values.keys()):
            new, old = wanted.get(name), values.get(name)
            if new != old:
                found.append(f"{section}: {name} {_change(old, new)}")
    return found


def _change(old: str | None, new: str | None) -> str:
    if old is None:
        return f"is new ({new})"
    return "is gone" if new is None else f"is {new or 'empty'}, was {old or 'empty'}"


def plan(declared: Catalog, deployed: Sequence[DeployedVersion], only: Iterable[str] = ()) -> Plan:
    """What makes the engine's cubes those that are declared (`only` these, if any are named)."""
    wanted = list(only) or list(declared.cubes)
    steps: list[Step] = []
    unchanged = []
    for name in wanted:
        mine = _steps(declared.cubes[name], [version for version in deployed if version.cube == name])
        steps += mine
        unchanged += [] if mine else [name]
    strange = sorted({version.cube for version in deployed} - declared.cubes.keys())
    return Plan(tuple(steps), tuple(unchanged), tuple(strange))


def plan_drop(cube: str, deployed: Sequence[DeployedVersion]) -> Plan:
    """What removes a cube with all its versions."""
    versions = [version for version in deployed if version.cube == cube]
    return Plan(tuple(Step("drop", cube, f"{one.rows:,} rows go", one.number) for one in versions))


def _steps(model: CubeModel, versions: Sequence[DeployedVersion]) -> list[Step]:
    shape = shape_of(model)
    same = [version for version in versions if not differences(shape, version.shape)]
    new = max(same, key=lambda version: version.number, default=None)
    serving = next((version for version in versions if version.serving), None)
    steps = []
    if new is None:
        why = "; ".join(differences(shape, serving.shape)) if serving else f"not there yet, from {model.topic}"
        steps.append(Step("create", model.name, why))
    if new is None or not new.serving:
        behind = f"{new.missing:,} records behind" if new and new.missing else f"from {model.topic}, beside the old one"
        if serving is not None:
            steps.append(Step("fill", model.name, behind))
            steps.append(Step("switch", model.name, "when it has all that the old one has read"))
    old = [version for version in versions if version is not new]
    return steps + [Step("retire", model.name, f"{one.rows:,} rows of the old form", one.number) for one in old]
