"""The files of an audit chain: names of the rotated ones, where a file begins in the chain, and where it ends."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradcube.errors import AuditError
from gradcube.security.audit_chain import MAX_LINE_BYTES, Chain, split


@dataclass(frozen=True)
class Step:
    """A line that follows: where it stands, what it says, the chain after it."""

    line: int
    body: dict[str, Any]
    chain: Chain
    size_bytes: int


@dataclass(frozen=True)
class End:
    """Where a file's chain ends. `torn` are bytes after it that nothing has ended: a crash while they were written."""

    chain: Chain
    size_bytes: int
    torn: bytes


def files(path: Path) -> list[Path]:
    """The rotated files, oldest first, then the current one; only those that are there."""
    return [*rotated(path), *([path] if path.exists() else [])]


def rotated(path: Path) -> list[Path]:
    """Those before the current one, oldest first."""
    return sorted(path.parent.glob(f"{path.stem}.{'[0-9]' * 12}{path.suffix}"))


def rotated_name(path: Path, first_seq: int) -> Path:
    """What the current file is called once it is full."""
    return path.with_name(f"{path.stem}.{first_seq:012d}{path.suffix}")


def beginning(path: Path) -> Chain:
    """The state before the file's first line, as that line tells it. Raises AuditError when it is no first line."""
    try:
        with path.open("rb") as file:
            first = json.loads(split(file.readline(MAX_LINE_BYTES + 1))[0])
        if first["kind"] != "start" or len(previous := bytes.fromhex(first["previous"])) != 32:
            raise ValueError(first["kind"])
        return Chain(int(first["seq"]), previous)
    except (ValueError, KeyError, TypeError) as error:
        raise AuditError(f"{path}:1: this is not the beginning of an audit file; {_KEEP}") from error


def walk(path: Path, chain: Chain) -> Iterator[Step | bytes]:
    """Each line that follows, then what nothing has ended. Raises AuditError naming the first line that doesn't."""
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), 1):
            if not line.endswith(b"\n") and len(line) <= MAX_LINE_BYTES:
                yield line
                return
            try:
                body, chain = chain.follow(line)
            except ValueError as error:
                raise AuditError(f"{path}:{number}: entry {chain.seq} {error}; {_KEEP}") from error
            yield Step(number, body, chain, len(line))


def end(path: Path) -> End:
    """Follows the whole file, which rotation bounds. Raises AuditError as `walk` and `beginning` do."""
    with path.open("rb") as file:
        if b"\n" not in file.read(MAX_LINE_BYTES + 1):  # the crash came with its first line, or before
            file.seek(0)
            return End(before(path), 0, file.read(MAX_LINE_BYTES))
    chain, size, torn = beginning(path), 0, b""
    for step in walk(path, chain):
        if isinstance(step, bytes):
            torn = step
        else:
            chain, size = step.chain, size + step.size_bytes
    return End(chain, size, torn)


def before(path: Path) -> Chain:
    """The state with which a new current file begins: that at the end of the newest rotated one."""
    earlier = rotated(path)
    return end(earlier[-1]).chain if earlier else Chain()


_KEEP = "keep the file: it was changed, or its disk is broken"
