"""`gradcube up`, `down` and `status`: the local services, without trainers."""

import typer
from rich.table import Table

from gradcube.bus.local_broker import fetch_broker
from gradcube.cli import output, state
from gradcube.cli.paths import home
from gradcube.cli.stack import Stack, stop_in_order
from gradcube.errors import ConfigError


def up() -> None:
    """Start broker, topics, coordinator, agent, metrics and gateway here, and leave them running."""
    if state.running():
        raise ConfigError(
            "local services are already running; look with: gradcube status, or end them with: gradcube down"
        )
    with output.err.status("fetching the broker") as status:
        fetch_broker(status.update)
        stack = Stack(home(), with_parent=False)
        try:
            stack.start(lambda name: status.update(f"starting {name}"))
        except BaseException:
            stack.stop()
            state.path_of(home()).unlink(missing_ok=True)
            raise
    output.out.print(_table(_rows(stack.state)))
    output.out.print(f"password of user {state.USER}: in {stack.state.password_file}")
    output.out.print("next: gradcube train, gradcube sql, gradcube tail gradcube.findings, gradcube down")


def down() -> None:
    """Stop the local services, newest first."""
    running = state.read()
    if running is None:
        output.out.print("nothing is running")
        return
    with output.err.status("stopping"):
        killed = stop_in_order(running.processes)
    state.path_of(home()).unlink(missing_ok=True)
    for process in killed:
        output.err.print(f"{process.name} (pid {process.pid}) had to be killed")
    output.out.print(f"stopped; data and logs stay in {running.home}")


def status(json: bool = typer.Option(False, "--json", help="for programs")) -> None:
    """Show each local service with its pid, address and health; exit code 1 when one is not well."""
    running = state.read()
    rows = _rows(running) if running else []
    if json:
        output.print_json(rows)
    elif running:
        output.out.print(_table(rows))
    else:
        output.out.print("nothing is running; start with: gradcube up")
    if any(row["health"] not in {"ready", "running"} for row in rows):
        raise typer.Exit(1)


def _rows(current: state.LocalState) -> list[dict[str, object]]:
    """One for each process; a trainer that has ended is no service that is missing."""
    return [
        {"name": process.name, "pid": process.pid, "address": process.address, "health": process.health_now()}
        for process in current.processes
        if process.alive() or not process.name.startswith("trainer-")
    ]


def _table(rows: list[dict[str, object]]) -> Table:
    return output.table(["name", "pid", "address", "health"], [list(row.values()) for row in rows])
