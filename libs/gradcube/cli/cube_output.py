"""What `gradcube cube` prints: tables and a progress bar for people, JSON for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from gradcube.cli import output
from gradcube.cube.deploy.plan import (
    DeployedVersion,
    Deployment,
    Outcome,
    Plan,
    Step,
    carry_out,
    differences,
    shape_of,
)
from gradcube.cube.model import Catalog, CubeModel

if TYPE_CHECKING:
    from gradcube.cube.store import Transferred

_SERVED = ("version", "rows", "lag", "freshness_seconds", "segments", "switched", "held_back", "reason")


def show_catalog(catalog: Catalog, *, json: bool) -> None:
    """Cubes and views."""
    cubes = [
        {
            "cube": model.name,
            "topic": model.topic,
            "columns": len(model.columns),
            "groups": [rollup.name for rollup in model.rollups],
            "keeps": _keeps(model),
        }
        for model in catalog.cubes.values()
    ]
    if json:
        output.print_json({"cubes": cubes, "views": list(catalog.views)})
        return
    rows = [[*list(cube.values())[:3], ", ".join(cube["groups"]), cube["keeps"]] for cube in cubes]  # type: ignore[arg-type]
    output.out.print(output.table(["cube", "topic", "columns", "groups", "keeps"], rows))
    output.out.print(f"{len(catalog.views)} views: {', '.join(catalog.views)}", style="dim")


def _keeps(model: CubeModel) -> str:
    days = "for ever" if model.retention.days is None else f"{model.retention.days} days"
    return f"{days}, latest of each {model.key}" if model.retention.latest else days


def show_plan(plan: Plan, *, json: bool) -> None:
    """The steps in their order."""
    if json:
        output.print_json(asdict(plan))
        return
    if plan.steps:
        output.out.print(output.table(["step", "why"], [(step.title, step.why) for step in plan.steps]))
    if plan.unchanged:
        output.out.print(f"as declared: {', '.join(plan.unchanged)}", style="dim")
    if plan.undeclared:
        output.out.print(f"deployed but not declared: {', '.join(plan.undeclared)} (gradcube cube drop NAME)")


def with_progress(engine: Deployment, steps: Sequence[Step]) -> list[Outcome]:
    """Does the steps, showing which."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=output.err, transient=True) as progress:
        task = progress.add_task("deploying", total=len(steps), completed=-1)
        return carry_out(engine, steps, lambda step: progress.update(task, description=step.title, advance=1))


def print_outcomes(outcomes: Sequence[Outcome]) -> None:
    """As JSON."""
    output.print_json([{**asdict(one.step), "waits_for": one.waits_for} for one in outcomes])


def show_status(catalog: Catalog, deployed: Sequence[DeployedVersion], *, json: bool) -> None:
    """One line a version, and one for each declared cube that is not there."""
    rows = [
        {
            "cube": one.cube,
            "version": one.number,
            "serving": one.serving,
            "rows": one.rows,
            "missing_records": one.missing,
            "as_declared": _is_declared(catalog, one),
        }
        for one in deployed
    ]
    absent = [name for name in catalog.cubes if name not in {one.cube for one in deployed}]
    if json:
        output.print_json({"versions": rows, "not_deployed": absent})
        return
    if rows:
        output.out.print(output.table(list(rows[0]), [list(row.values()) for row in rows]))
    if absent:
        output.out.print(f"declared but not deployed: {', '.join(absent)} (gradcube cube deploy)")


def _is_declared(catalog: Catalog, version: DeployedVersion) -> bool:
    model = catalog.cubes.get(version.cube)
    return model is not None and not differences(shape_of(model), version.shape)


def show_transfer(done: "Transferred", where: Path, *, json: bool) -> None:
    """How many rows and files went, and how many were there before."""
    if json:
        output.print_json(asdict(done))
        return
    known = f", {done.duplicates:,} more were there already" if done.duplicates else ""
    output.out.print(f"{done.rows:,} rows in {done.files} files of {where}{known}", soft_wrap=True)


def show_served(cubes: Mapping[str, Mapping[str, Any]], *, json: bool) -> None:
    """What a running gateway tells of its cubes: one line each, and why a new version is not seen."""
    rows = [{"cube": name, **{key: one[key] for key in _SERVED}} for name, one in cubes.items()]
    if json:
        output.print_json({"cubes": rows})
        return
    output.out.print(output.table(list(rows[0]), [list(row.values()) for row in rows]))
