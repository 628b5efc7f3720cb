"""A statement's text cut where quotes and comments begin and end, so that `?` and `;` inside them are left alone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Calcite's rules: a quote is written twice inside quotes, and a backslash means itself.
_PIECE = re.compile(
    r"""(?P<string>'(?:[^']|'')*(?:'|\Z)) | (?P<name>"(?:[^"]|"")*(?:"|\Z))
      | (?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z)) | (?P<mark>\?) | (?P<end>;)""",
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True)
class Piece:
    """`kind` is string, name, comment, mark (?) or end (;); what lies between two pieces is plain SQL."""

    kind: str
    start: int
    text: str

    def holds(self, end: int) -> bool:
        """Whether what is written at the end of the text, `end` characters long, would still belong to this piece."""
        if self.kind in ("string", "name"):
            closed = len(self.text) > 1 and self.text[-1] == self.text[0]
        elif self.text.startswith("/*"):
            closed = len(self.text) > 3 and self.text.endswith("*/")
        else:
            closed = self.kind != "comment"
        return not closed and self.start + len(self.text) == end


def pieces(sql: str) -> Iterator[Piece]:
    """What is quoted, commented, a parameter or an end of statement, in the order of the text."""
    for match in _PIECE.finditer(sql):
        assert match.lastgroup is not None
        yield Piece(match.lastgroup, match.start(), match[0])


def split(text: str) -> tuple[list[str], str]:
    """The statements that a `;` ends, without it, and the rest that nothing has ended yet. Empty ones are left out."""
    statements, begin = [], 0
    for piece in pieces(text):
        if piece.kind == "end":
            statements.append(text[begin : piece.start].strip())
            begin = piece.start + 1
    return [one for one in statements if not is_blank(one)], text[begin:]


def is_blank(text: str) -> bool:
    """Whether nothing but white space and comments is there."""
    for piece in reversed([piece for piece in pieces(text) if piece.kind == "comment"]):
        text = text[: piece.start] + text[piece.start + len(piece.text) :]
    return not text.strip()
