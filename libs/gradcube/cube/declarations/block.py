"""A YAML file as blocks that know their lines: every wrong key or value is refused by file, line and way out.

Only plain values are ever made of it (yaml.SafeLoader).
"""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml

from gradcube.errors import ConfigError

MAX_BYTES = 1 << 20
"""A declaration is written by hand; what is longer is another file."""

T = TypeVar("T")
# The same loader in C, ten times as fast, is in every wheel of PyYAML's.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_KINDS: dict[type, str] = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


class Block:
    """A mapping of the file. Each getter raises ConfigError with the line of what is wrong."""

    def __init__(self, path: Path, loader: Any, node: yaml.Node, what: str) -> None:
        self.path, self.what, self._loader = path, what, loader
        self.line = _line(node)
        if not isinstance(node, yaml.MappingNode):
            raise refused(path, self.line, f"{what} must be a mapping of keys and values")
        self._items: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            if not name or name in self._items:
                raise refused(path, _line(key), f"{what} has {name or 'something'!r} twice, or it is no name")
            self._items[name] = (key, value)

    def __contains__(self, key: str) -> bool:
        return key in self._items

    def only(self, *known: str) -> "Block":
        """Refuses any other key, naming the nearest known one."""
        for name, (key, _) in self._items.items():
            if name not in known:
                near = get_close_matches(name, known, 1, 0.5)
                way = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
                raise refused(self.path, _line(key), f"{self.what} has no {name!r}; {way}")
        return self

    def names(self) -> list[str]:
        """The keys in their order."""
        return list(self._items)

    def line_of(self, key: str) -> int:
        """Where the key stands, or the block if it has no such key."""
        return _line(self._items[key][0]) if key in self._items else self.line

    def refuse(self, key: str, message: str) -> ConfigError:
        """The error about a key, to be raised."""
        return refused(self.path, self.line_of(key), f"{self.what}: {message}")

    def text(self, key: str, default: str | None = None) -> str:
        """A text; without a default it must be there."""
        return self._value(key, str, default)

    def integer(self, key: str, default: int | None = None) -> int:
        """A whole number."""
        return self._value(key, int, default)

    def number(self, key: str) -> float | None:
        """A number, None where there is none."""
        return float(self._value(key, float, 0.0)) if key in self else None

    def flag(self, key: str) -> bool:
        """True or false; false where there is none."""
        return self._value(key, bool, False)

    def choice(self, key: str, choices: Iterable[str], default: str | None = None) -> str:
        """One of the choices."""
        value, known = self.text(key, default), list(choices)
        if value not in known:
            raise self.refuse(key, f"{key} is {value!r}; it must be one of {', '.join(known)}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, empty where there is none."""
        return tuple(self._texts(key, self._items[key][1])) if key in self else ()

    def lists(self, key: str) -> tuple[tuple[str, ...], ...]:
        """A list of lists of texts."""
        if key not in self:
            return ()
        node = self._items[key][1]
        if not isinstance(node, yaml.SequenceNode):
            raise self.refuse(key, f"{key} must be a list of lists of names, such as [[A, B]]")
        return tuple(tuple(self._texts(key, one)) for one in node.value)

    def scalars(self, key: str) -> tuple[str | int | bool, ...]:
        """One plain value, or a list of them."""
        node = self._items[key][1]
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        values = tuple(self._plain(key, one) for one in nodes if isinstance(one, yaml.ScalarNode))
        if not values or len(values) != len(nodes) or not all(isinstance(value, str | int) for value in values):
            raise self.refuse(key, f"{key} must be a text, a whole number, true, false, or a list of those")
        return values

    def block(self, key: str, what: str) -> "Block":
        """The mapping under a key, which must be there."""
        if key not in self:
            raise self.refuse(key, f"{key} is missing")
        return Block(self.path, self._loader, self._items[key][1], what)

    def blocks(self, key: str, what: str) -> list["Block"]:
        """The mappings of a list, empty where there is none."""
        if key not in self:
            return []
        node = self._items[key][1]
        if not isinstance(node, yaml.SequenceNode):
            raise self.refuse(key, f"{key} must be a list")
        return [Block(self.path, self._loader, one, what) for one in node.value]

    def _value(self, key: str, kind: type[T], default: T | None) -> T:
        if key not in self:
            if default is None:
                raise self.refuse(key, f"{key} is missing; give {_KINDS[kind]}")
            return default
        node = self._items[key][1]
        value: Any = self._plain(key, node) if isinstance(node, yaml.ScalarNode) else None
        fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
        if not fits or (isinstance(value, bool) and kind is not bool):
            shown = repr(node.value) if isinstance(node, yaml.ScalarNode) else "a list or mapping"
            raise self.refuse(key, f"{key} is {shown:.80}; it must be {_KINDS[kind]}")
        return value  # type: ignore[no-any-return]

    def _plain(self, key: str, node: yaml.Node) -> Any:
        try:
            return self._loader.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            raise self.refuse(key, f"{key} is no plain value: {getattr(error, 'problem', None) or error}") from error

    def _texts(self, key: str, node: yaml.Node) -> list[str]:
        if not isinstance(node, yaml.SequenceNode) or not all(isinstance(one, yaml.ScalarNode) for one in node.value):
            raise self.refuse(key, f"{key} must be a list of names, such as [A, B]")
        return [str(one.value) for one in node.value]


def read_block(path: Path, what: str) -> Block:
    """The whole file as one block. Raises ConfigError."""
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise ConfigError(f"{path} has {size} bytes; a declaration has at most {MAX_BYTES}")
        loader = _Loader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: {what} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or error
        raise refused(path, mark.line + 1 if mark else 1, f"this is no YAML: {problem}") from error
    if node is None:
        raise ConfigError(f"{path}:1: {what} is empty; docs/cubes.md shows one")
    return Block(path, loader, node, what)


def refused(path: Path, line: int, message: str) -> ConfigError:
    """`file:line: message`, the form that editors jump to."""
    return ConfigError(f"{path}:{line}: {message}")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
