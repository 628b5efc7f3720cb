"""`gradcube audit`: what was asked, and whether the record of it is whole."""

import json as json_text
from collections import deque
from pathlib import Path
from typing import Any

import typer
from rich.markup import escape

from gradcube.cli import output
from gradcube.errors import AuditError, CheckFailed
from gradcube.security import audit_files
from gradcube.security.audit_verify import verify as verify_files
from gradcube.security.secret_files import read_secret
from gradcube.security.settings import SecuritySettings

app = typer.Typer(
    help="The record of every statement: read it, and check that nobody changed it.", no_args_is_help=True
)

_AUDIT: Any = typer.Argument(None, help="audit file; default: GRADCUBE_CUBE_AUDIT_FILE with those before it")
_JSON: Any = typer.Option(False, "--json", help="for programs")


@app.command()
def verify(
    file: Path | None = _AUDIT,
    key_file: Path | None = typer.Option(
        None, help="of mode 600; default: GRADCUBE_CUBE_AUDIT_KEY_FILE, if it is there"
    ),
    noted: str | None = typer.Option(None, help="a hash that an earlier check printed: it must still be in the chain"),
    json: bool = _JSON,
) -> None:
    """Follow the chain from its first entry, and name the first that is wrong (exit code 1)."""
    key_path = key_file or SecuritySettings.load().audit_key_file
    key = read_secret(key_path, "audit key file").strip() if key_file or key_path.exists() else None
    paths = [_existing(file)] if file else audit_files.files(SecuritySettings.load().audit_file)
    try:
        report = verify_files(paths, key, noted=noted)
    except AuditError as error:
        raise CheckFailed(str(error)) from error
    if json:
        output.print_json({**vars(report), "kinds": dict(report.kinds)})
        return
    heads = "signatures not checked, there is no key" if report.signed is None else f"{report.signed} signed heads"
    output.out.print(f"{report.lines} entries in {report.files} files follow each other; {heads}", soft_wrap=True)
    if report.unsigned and key is not None:
        output.out.print(f"the last {report.unsigned} are not under a signed head: a gateway runs, or was killed")
    if report.kinds["torn"] or report.torn_end:
        output.out.print(f"{report.kinds['torn'] + report.torn_end} torn ends of crashes, marked where they are")
    output.out.print(f"entry {report.last} has the hash {report.hash}; note it elsewhere", soft_wrap=True)


@app.command()
def tail(
    file: Path | None = _AUDIT,
    number: int = typer.Option(20, "-n", min=1, max=10_000, help="so many entries"),
    json: bool = _JSON,
) -> None:
    """Show the newest entries. It does not check them."""
    path = _existing(file or SecuritySettings.load().audit_file)
    with path.open("rb") as lines:
        newest = deque((line for line in lines if line.endswith(b"\n")), number)
    entries = [_entry(line) for line in newest]
    if json:
        output.print_json(entries)
        return
    columns = ("time", "who", "address", "action", "verdict", "rows", "seconds", "statement")
    rows = [[_shown(entry, name) for name in columns] for entry in entries]
    output.out.print(output.table(columns, rows))


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise typer.BadParameter(f"{path} is no audit file")
    return path


def _entry(line: bytes) -> dict[str, Any]:
    try:
        return dict(json_text.loads(line))
    except ValueError:
        return {"kind": "unreadable"}


def _shown(entry: dict[str, Any], name: str) -> Any:
    if name == "action" and entry.get("kind") != "action":
        return entry.get("kind")
    value = entry.get(name)
    # The statement is somebody's text: escapes and colours of a terminal in it must not work.
    return escape("".join(one if one.isprintable() else " " for one in value)) if isinstance(value, str) else value
