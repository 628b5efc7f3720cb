"""The process groups of a dump, and how far its rank had come in each of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any


@dataclass(frozen=True, eq=False)
class Group:
    """`key` tells it from others of the same name; `ranks` are global, in the group's own order, () if not told."""

    key: str
    title: str
    ranks: tuple[int, ...]


@dataclass(frozen=True)
class Progress:
    """Sequence numbers: of the last collective that the rank put on its queue, and of the last it saw finished."""

    entered: int
    finished: int


UNKNOWN = Progress(-1, -1)


def read_groups(config: Any) -> dict[str, Group]:
    """`pg_config` by name. Ranks come as a list, or as its text. Raises TypeError or ValueError for anything else."""
    groups: dict[str, Group] = {}
    for name, about in (config or {}).items():
        ranks = about.get("ranks") or ()
        text = ranks if isinstance(ranks, str) else json.dumps(list(ranks))
        members = _ranks(text)
        groups[str(name)] = Group(f"{name} {text}", str(about.get("desc") or name)[:80], members)
    return groups


@lru_cache(maxsize=4096)
def _ranks(text: str) -> tuple[int, ...]:
    """All ranks of a job have the same few texts of many ranks."""
    return tuple(int(rank) for rank in json.loads(text))


def read_progress(raw: Mapping[str, Any], names: Mapping[str, str], known: Mapping[str, Group]) -> dict[str, Progress]:
    """`pg_status` by group's name; "" for the furthest of those whose name cannot be told.

    The status has numbers instead of names. `names` are those that entries told; the others follow from the order in
    which groups are made, where numbers and names are equally many and agree with `names`.
    """
    status = {str(number): _one(about) for number, about in (raw.get("pg_status") or {}).items()}
    if len(status) == len(known) and all(text.isdecimal() for text in (*status, *known)):
        in_order = dict(zip(sorted(status, key=int), sorted(known, key=int), strict=True))
        if all(in_order.get(number) == name for number, name in names.items() if number in status):
            names = in_order
    progress = {names[number]: one for number, one in status.items() if number in names}
    rest = [one for number, one in status.items() if number not in names]
    return progress | {"": Progress(max(one.entered for one in rest), -1) if rest else UNKNOWN}


def is_timed(raw: Mapping[str, Any]) -> bool:
    """Whether the recorder noted when an operation began on the GPU (TORCH_NCCL_ENABLE_TIMING)."""
    started = [whole(about.get("last_started_collective")) for about in (raw.get("pg_status") or {}).values()]
    return any(number is not None and number > 0 for number in started)


def _one(about: Mapping[str, Any]) -> Progress:
    entered, finished = whole(about.get("last_enqueued_collective")), whole(about.get("last_completed_collective"))
    return Progress(-1 if entered is None else entered, -1 if finished is None else finished)


def whole(value: Any) -> int | None:
    """A number, or its text as the JSON form has it; None for null and for what was not recorded.

    Raises TypeError or ValueError for anything else, and for what no counter or clock of 64 bits can show.
    """
    if value is None or value == "":
        return None
    number = int(value)
    if abs(number) >= 2**63:
        raise ValueError("a number has more than 64 bits")
    return number
