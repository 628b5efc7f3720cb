"""`gradcube kylin up`, `status` and `down`: Apache Kylin on this machine, supervised, on 127.0.0.1 alone."""

import json as json_text
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import typer

from gradcube.cli import output, processes
from gradcube.cli.local_kylin import READY_SECONDS, STOP_SECONDS, LocalKylin, fetch_kylin
from gradcube.cli.paths import home
from gradcube.cli.processes import LocalProcess
from gradcube.cli.topics import kafka
from gradcube.cube.deploy.kylin import KylinDeployment
from gradcube.cube.model import Catalog
from gradcube.errors import ConfigError

app = typer.Typer(help="Apache Kylin on this machine: ZooKeeper, server, receivers.", no_args_is_help=True)

_JSON: Any = typer.Option(False, "--json", help="for programs")


@app.command()
def up(
    receivers: int = typer.Option(1, min=1, max=8, help="receivers beside the server"),
    replicas: int = typer.Option(1, min=1, max=4, help="receivers that read the same, so that one may be lost"),
) -> None:
    """Fetch Kylin once, start it here and leave it running; a part of it that ends is started again."""
    if receivers % replicas:
        raise ConfigError(f"--receivers {receivers} cannot be parted into sets of --replicas {replicas}")
    if (running := _running()) is not None:
        raise ConfigError(f"Kylin runs already (pid {running.pid}); see: gradcube kylin status")
    with output.err.status("fetching Kylin") as shown:
        fetch_kylin(shown.update)
        process = LocalKylin(_folder()).start(receivers, replicas, with_parent=False)
        _remember(process)
        shown.update("starting ZooKeeper, server, receivers")
        try:
            processes.wait_ready(process, READY_SECONDS)
        except BaseException:
            processes.stop([process], STOP_SECONDS)
            _state().unlink(missing_ok=True)
            raise
    output.out.print(_table(_nodes(process)))
    output.out.print(f"passwords: in {_folder()}, of mode 600", soft_wrap=True)
    output.out.print("next: gradcube cube deploy --target kylin, and for the gateway to ask it:")
    for name, value in LocalKylin(_folder()).gateway_settings(process.address).items():
        output.out.print(f"  export {name}={value}", soft_wrap=True)
    output.out.print("  gradcube up")


@app.command()
def status(json: bool = _JSON) -> None:
    """Show each part with pid, port, memory and how often it was started again; exit code 1 when one is not well."""
    running = _running()
    nodes = _nodes(running) if running else []
    if json:
        output.print_json(nodes)
    elif running is None:
        output.out.print("Kylin does not run; start it with: gradcube kylin up")
    else:
        output.out.print(_table(nodes))
    if running is not None and not all(node["ready"] for node in nodes):
        raise typer.Exit(1)


@app.command()
def down() -> None:
    """Stop Kylin, the receivers first, so that they write down how far they read."""
    running = _running()
    if running is None:
        output.out.print("Kylin does not run")
        return
    with output.err.status("stopping"):
        killed = processes.stop([running], STOP_SECONDS)
    _state().unlink(missing_ok=True)
    if killed:
        output.err.print(f"the supervisor (pid {running.pid}) had to be killed; see {running.log}", soft_wrap=True)
    output.out.print(f"stopped; data and logs stay in {_folder()}", soft_wrap=True)


def local_kylin(catalog: Catalog) -> KylinDeployment:
    """The running Kylin of `up`, to deploy to; it reads the broker of `gradcube up`. Raises ConfigError."""
    running = _running()
    if running is None:
        raise ConfigError("Kylin does not run; start it with: gradcube kylin up")
    return LocalKylin(_folder()).deployment(running.address, catalog, kafka().bootstrap)


def _remember(process: LocalProcess) -> None:
    draft = _state().with_suffix(".new")
    draft.write_text(json_text.dumps(asdict(process)) + "\n")
    os.replace(draft, _state())


def _running() -> LocalProcess | None:
    try:
        process = LocalProcess(**json_text.loads(_state().read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{_state()} is not a state file of gradcube kylin ({error}); remove it") from error
    return process if process.alive() else None


def _nodes(process: LocalProcess) -> list[dict[str, Any]]:
    try:
        told = httpx.get(f"{process.health}/status", timeout=5, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        told = {"supervisor": {"pid": process.pid, "port": None, "ready": False, "reason": "does not answer"}}
    return [{"name": name, **node} for name, node in told.items()]


def _table(nodes: list[dict[str, Any]]) -> Any:
    return output.table(list(nodes[0]), [list(node.values()) for node in nodes])


def _folder() -> Path:
    return home() / "kylin"


def _state() -> Path:
    return _folder() / "state.json"
