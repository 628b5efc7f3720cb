"""Bytes that somebody sent us -> plain containers: pickles that can hold nothing else, or JSON.

A pickle is a program. It is read twice: first opcode by opcode without running it, so that only those of containers,
numbers and strings are left, then by an unpickler that knows no class.
"""

import io
import json
import pickle
import pickletools
from collections.abc import Iterator
from typing import Any, NoReturn

from gradcube.errors import TraceError

MAX_BYTES = 64 * 1024 * 1024
"""A rank's dump has 0.3 to 2 kB an entry; PyTorch's guide advises 2 000 entries."""

MAX_OPCODES = 8_000_000
MAX_TUPLE_DEPTH = 4
"""A tuple in a tuple in a tuple ... as a key is hashed again and again, in C, without a limit. Dumps nest none."""

ALLOWED = frozenset(
    {
        "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP",
        "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT",
        "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
        "EMPTY_LIST", "APPEND", "APPENDS", "LIST", "EMPTY_DICT", "SETITEM", "SETITEMS", "DICT",
        "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
        "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "MEMOIZE",
    }
)  # fmt: skip


def load_plain(data: bytes, name: str) -> Any:
    """What the pickle or the JSON text says. Raises TraceError, which names the file, for whatever is not plain."""
    if len(data) > MAX_BYTES:
        raise TraceError(f"{name} has {len(data)} bytes, more than the {MAX_BYTES} that a dump may have")
    try:
        if data[:1] in (b"{", b"[") or data[:1].isspace():
            return json.loads(data)
        _check(data)
        return _PlainUnpickler(io.BytesIO(data)).load()
    except (ValueError, TypeError, KeyError, IndexError, EOFError, pickle.UnpicklingError, RecursionError) as error:
        raise TraceError(f"{name} is not a flight recorder dump: {error}") from error


class _PlainUnpickler(pickle.Unpickler):
    """Knows no class, no function and no persistent object."""

    def find_class(self, module_name: str, global_name: str, /) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}, and a dump has no classes")

    def persistent_load(self, _pid: Any, /) -> NoReturn:
        raise pickle.UnpicklingError("it asks for an object kept elsewhere, and a dump has none")


def _check(data: bytes) -> None:
    """Walks the opcodes without running them. Raises ValueError for one that a plain dump does not have."""
    depths = _TupleDepths()
    for number, (opcode, argument, position) in enumerate(_opcodes(data)):
        if opcode.name not in ALLOWED:
            raise ValueError(f"byte {position} is {opcode.name}, which builds more than plain containers")
        if number > MAX_OPCODES:
            raise ValueError(f"it has more than {MAX_OPCODES} opcodes")
        # The C unpickler makes room for as many memo entries as the largest index says.
        if opcode.name in ("BINPUT", "LONG_BINPUT") and argument > number:
            raise ValueError(f"byte {position} puts memo entry {argument} after {number} opcodes")
        depths.follow(opcode, argument)


def _opcodes(data: bytes) -> Iterator[tuple[pickletools.OpcodeInfo, Any, int | None]]:
    for opcode, argument, position in pickletools.genops(data):
        yield opcode, argument, position
        if opcode.name == "STOP" and position != len(data) - 1:
            raise ValueError(f"{len(data) - 1 - (position or 0)} bytes follow its end")


class _TupleDepths:
    """How deeply tuples are nested, followed on a stack of depths alone: 0 for whatever is no tuple."""

    def __init__(self) -> None:
        self._stack: list[int | None] = []  # None is a mark
        self._memo: dict[int, int] = {}

    def follow(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        """One opcode on. Raises ValueError for tuples too deep, IndexError or ValueError for a stack that is empty."""
        name = opcode.name
        if name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self._memo[len(self._memo) if argument is None else argument] = self._stack[-1] or 0
        elif name in ("BINGET", "LONG_BINGET"):
            self._stack.append(self._memo[argument])
        elif name == "DUP":
            self._stack.append(self._stack[-1])
        else:
            taken = self._take(opcode)
            self._stack += [_made(name, taken) if made is not pickletools.markobject else None
                            for made in opcode.stack_after]  # fmt: skip

    def _take(self, opcode: pickletools.OpcodeInfo) -> list[int]:
        before = opcode.stack_before
        taken: list[int] = []
        if pickletools.markobject in before:
            while (depth := self._stack.pop()) is not None:
                taken.append(depth)
            before = before[: before.index(pickletools.markobject)]
        taken += [self._stack.pop() or 0 for _ in before]
        return taken


def _made(name: str, taken: list[int]) -> int:
    depth = 1 + max(taken, default=0) if "TUPLE" in name else 0
    if depth > MAX_TUPLE_DEPTH:
        raise ValueError(f"its tuples are nested more than {MAX_TUPLE_DEPTH} deep")
    return depth
