"""A folder of dumps -> each rank's operations and progress (formats 1.x and 2.x, pickle or JSON)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradcube.errors import TraceError
from gradcube.flight_recorder.groups import UNKNOWN, Group, Progress, is_timed, read_groups, read_progress, whole
from gradcube.flight_recorder.operations import Operation, group_name, read_operation
from gradcube.flight_recorder.plain import MAX_BYTES, load_plain

RANK_IN_NAME = re.compile(r"(\d{1,7})(?:\.(?:json|pkl|pickle|pt))?$")
KNOWN_VERSIONS = ("1", "2")


@dataclass(frozen=True)
class Dump:
    """One rank's word: its groups, its operations in the order of its calls, its progress by group's key.

    `unnamed` is how far it came at most in a group without progress. `timed`: starts on the GPU were recorded.
    """

    rank: int
    groups: tuple[Group, ...]
    operations: tuple[Operation, ...]
    progress: Mapping[str, Progress]
    unnamed: Progress
    timed: bool


def read_dumps(directory: Path) -> dict[int, Dump]:
    """Every file of the folder whose name ends in a rank's number. Raises TraceError, which names the file."""
    if not directory.is_dir():
        raise TraceError(f"{directory} is not a folder of flight recorder dumps")
    dumps: dict[int, Dump] = {}
    for path in sorted(directory.iterdir()):
        found = RANK_IN_NAME.search(path.name)
        if found is not None and path.is_file():
            rank = int(found[1])
            if rank in dumps:
                raise TraceError(f"{path} is a second dump of rank {rank}; leave one of them in the folder")
            dumps[rank] = read_dump(path, rank)
    if not dumps:
        raise TraceError(f"{directory} holds no dumps; their names end in the rank, like _dump_0 or trace_rank_0.json")
    return dumps


def read_dump(path: Path, rank: int) -> Dump:
    """One file. Raises TraceError for what is hostile, cut off, of an unknown version, or no dump."""
    raw = load_plain(_bytes(path), str(path))
    if not isinstance(raw, dict) or not isinstance(raw.get("entries"), list):
        raise TraceError(f"{path} is not a flight recorder dump: it has no list of entries")
    version = raw.get("version", "2")
    if not isinstance(version, str | int | float) or str(version).split(".")[0] not in KNOWN_VERSIONS:
        raise TraceError(f"{path} has a version of the format that is not known; known are 1.x and 2.x")
    try:
        return _dump(raw, rank)
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        wrong = f"{type(error).__name__}: {str(error)[:200]}"
        raise TraceError(f"{path} is not a flight recorder dump that can be understood ({wrong})") from error


def _dump(raw: dict[str, Any], rank: int) -> Dump:
    groups, entries = read_groups(raw.get("pg_config")), raw["entries"]
    operations = [read_operation(entry, rank, groups) for entry in sorted(entries, key=_order)]
    names = {str(entry["pg_id"]): group_name(entry) for entry in entries if "pg_id" in entry}
    status = read_progress(raw, names, groups)
    unnamed = status.pop("", UNKNOWN)
    progress = {groups[name].key: one for name, one in status.items() if name in groups}
    timed = is_timed(raw) or any(one.state == "started" for one in operations)
    return Dump(rank, tuple(groups.values()), tuple(operations), progress, unnamed, timed)


def _order(entry: Mapping[str, Any]) -> int:
    return whole(entry.get("record_id", entry.get("id"))) or 0


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise TraceError(f"{path} cannot be read: {error}") from error
