"""`gradcube cube`: declarations checked, compared with an engine, and deployed to it as a plan of repeatable steps."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer

from gradcube.bus.topics import load_topics
from gradcube.cli import cube_output, output, paths
from gradcube.cli.gateway_checks import gateway_status
from gradcube.cli.kylin import chosen_kylin
from gradcube.cube.declarations.catalog import cubes_dir
from gradcube.cube.deploy.plan import Deployment, Plan, plan, plan_drop
from gradcube.cube.model import Catalog, load_catalog
from gradcube.errors import CheckFailed, ConfigError

app = typer.Typer(help="Declared cubes (schemas/cubes/*.yaml): check, compare, deploy.", no_args_is_help=True)


class Target(StrEnum):
    """Where to."""

    embedded = "embedded"
    kylin = "kylin"


_CUBES: Any = typer.Option(None, "--cubes", help="folder of declarations; default: those that gradcube ships")
_TARGET: Any = typer.Option(Target.embedded, help="engine")
_STORE: Any = typer.Option(None, help="directory of the embedded engine; default: that of gradcube up")
_JSON: Any = typer.Option(False, "--json", help="for programs")


@app.command()
def validate(cubes: Path | None = _CUBES, json: bool = _JSON) -> None:
    """Read every declaration, and name file and line of what is wrong."""
    catalog = load_catalog(cubes)
    topics = load_topics()
    for model in catalog.cubes.values():
        if model.topic not in topics:
            raise ConfigError(
                f"cube {model.name}: topic {model.topic!r} is not in schemas/topics.yaml; declare it there"
            )
    with _engine_installed():
        from gradcube.cube.declarations.view_checks import check_views
    check_views(catalog, cubes or cubes_dir())
    cube_output.show_catalog(catalog, json=json)


@app.command()
def diff(
    names: list[str] | None = typer.Argument(None, help="cubes; default: all"),
    target: Target = _TARGET, cubes: Path | None = _CUBES, store: Path | None = _STORE, json: bool = _JSON,
) -> None:  # fmt: skip
    """Show the steps that deploy would take. Nothing is changed."""
    catalog = load_catalog(cubes)
    cube_output.show_plan(_plan(catalog, _open(target, store, catalog), names), json=json)


@app.command()
def deploy(
    names: list[str] | None = typer.Argument(None, help="cubes; default: all"),
    target: Target = _TARGET, cubes: Path | None = _CUBES, store: Path | None = _STORE, json: bool = _JSON,
) -> None:  # fmt: skip
    """Make the engine's cubes those that are declared: a changed one is a new version, switched when it has caught up.

    Every step can be repeated; exit code 1 says that one waits for something, and the rest of its cube for that.
    """
    catalog = load_catalog(cubes)
    _carry_out(_open(target, store, catalog), lambda engine: _plan(catalog, engine, names), json=json)


@app.command()
def drop(
    name: str = typer.Argument(help="cube"),
    yes: bool = typer.Option(False, "--yes", help="do not ask"),
    target: Target = _TARGET, cubes: Path | None = _CUBES, store: Path | None = _STORE, json: bool = _JSON,
) -> None:  # fmt: skip
    """Remove a cube with all its rows from the engine. What its topic still has can be deployed again."""
    engine = _open(target, store, load_catalog(cubes))
    name = name.upper()
    if not plan_drop(name, engine.deployed()).steps:
        raise ConfigError(f"cube {name} is not deployed; see: gradcube cube status")
    if not yes:
        typer.confirm(f"Remove {name} and all its rows?", abort=True, err=True)
    _carry_out(engine, lambda engine: plan_drop(name, engine.deployed()), json=json)


@app.command()
def status(
    target: Target = _TARGET, cubes: Path | None = _CUBES, store: Path | None = _STORE, json: bool = _JSON
) -> None:
    """Show what is deployed, or what the running gateway tells: versions, rows, how far a new version has come."""
    _, told = gateway_status() if store is None and target is Target.embedded else (None, None)
    if told is not None:
        cube_output.show_served(told["cubes"], json=json)
        return
    catalog = load_catalog(cubes)
    engine = _open(target, store, catalog)
    cube_output.show_status(_holdable(engine, catalog), engine.deployed(), json=json)


@app.command("export")
def export_(
    name: str = typer.Argument(help="cube"),
    directory: Path = typer.Argument(help="folder; files of an earlier export are replaced"),
    cubes: Path | None = _CUBES, store: Path | None = _STORE, json: bool = _JSON,
) -> None:  # fmt: skip
    """Write a cube as Parquet, a file a day. The gateway must not run: it has the store to itself."""
    catalog = load_catalog(cubes)
    _declared(catalog, [name])
    with _engine_installed():
        from gradcube.cube.store import Store, export_cube
    with closing(Store(store or paths.home() / "cube", catalog.cubes.values())) as opened, _working(f"export {name}"):
        done = export_cube(opened, name.upper(), directory)
    cube_output.show_transfer(done, directory, json=json)


@app.command("import")
def import_(
    name: str = typer.Argument(help="cube"),
    source: Path = typer.Argument(help="a Parquet file, or the folder of an export", exists=True),
    cubes: Path | None = _CUBES, store: Path | None = _STORE, json: bool = _JSON,
) -> None:  # fmt: skip
    """Read what `export` wrote: rows that the cube has already are left out. The gateway must not run."""
    catalog = load_catalog(cubes)
    _declared(catalog, [name])
    with _engine_installed():
        from gradcube.cube.store import Store, import_cube
    with closing(Store(store or paths.home() / "cube", catalog.cubes.values())) as opened, _working(f"import {name}"):
        done = import_cube(opened, name.upper(), source)
    cube_output.show_transfer(done, source, json=json)


@contextmanager
def _working(what: str) -> Iterator[None]:
    with output.err.status(what):
        yield


@contextmanager
def _engine_installed() -> Iterator[None]:
    """The command itself does without DuckDB and sqlglot; these imports do not."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(f"{error}; install gradcube[cube] for the embedded engine") from error


def _open(target: Target, store: Path | None, catalog: Catalog) -> Deployment:
    if target is Target.kylin:
        return chosen_kylin(catalog)
    with _engine_installed():
        from gradcube.cube.deploy.embedded import EmbeddedDeployment
    return EmbeddedDeployment(store or paths.home() / "cube", catalog)


def _plan(catalog: Catalog, engine: Deployment, names: list[str] | None) -> Plan:
    return plan(catalog, engine.deployed(), _declared(catalog, names or ()) or _fit(engine, catalog))


def _holdable(engine: Deployment, catalog: Catalog) -> Catalog:
    return replace(catalog, cubes={n: one for n, one in catalog.cubes.items() if engine.why_not(one) is None})


def _fit(engine: Deployment, catalog: Catalog) -> list[str]:
    """Without names all cubes are meant that the engine can hold; the others are said."""
    reasons = {name: engine.why_not(model) for name, model in catalog.cubes.items()}
    for name, reason in reasons.items():
        if reason is not None:
            output.err.print(f"left out: {name}, since {reason}")
    return [name for name, reason in reasons.items() if reason is None]


def _declared(catalog: Catalog, names: Sequence[str]) -> list[str]:
    wanted = [name.upper() for name in names]
    if unknown := [name for name in wanted if name not in catalog.cubes]:
        raise ConfigError(f"cube {unknown[0]} is not declared; those are {', '.join(catalog.cubes)}")
    return wanted


def _carry_out(engine: Deployment, planned: Any, *, json: bool) -> None:
    steps = planned(engine)
    if not json:
        cube_output.show_plan(steps, json=False)
    outcomes = cube_output.with_progress(engine, steps.steps)
    if json:
        cube_output.print_outcomes(outcomes)
    waiting = [one for one in outcomes if one.waits_for is not None]
    if waiting:
        raise CheckFailed("; ".join(f"{one.step.title} waits for {one.waits_for}" for one in waiting))
    if not json and outcomes:
        output.out.print("deployed")
