"""A statement in, the text that may be written down out: literals marked secret are replaced, long text is cut.

Marked is what follows the comment `/*secret*/`: of `NOTE = /*secret*/'...'`, `NOTE = /*secret*/'***'` is kept.
"""

import hashlib
import re
from dataclasses import dataclass

from gradcube.clients.scanner import pieces

HIDDEN = "'***'"
MAX_CHARACTERS = 8192
_MARK = re.compile(r"/\*\s*secret\s*\*/", re.IGNORECASE)
# What may stand between the mark and its value; then a literal in quotes, whatever stands before them (E'..',
# date '..'), to its end or, unended, to that of the text; anything else up to where a value can end.
_BETWEEN = re.compile(r"(?:\s|/\*.*?\*/|--[^\n]*)*", re.DOTALL)
_QUOTED = re.compile(r"""[A-Za-z_&]*\s*(?:'(?P<one>(?:[^']|'')*)|"(?P<two>(?:[^"]|"")*))['"]?""", re.DOTALL)
_BARE = re.compile(r"[^\s,()]+")


@dataclass(frozen=True)
class Redacted:
    """`text` has at most MAX_CHARACTERS. `characters` and `sha256` are of the whole redacted statement.

    The hash is not of the statement itself: from that, a short secret could be guessed. `secrets` were taken out.
    """

    text: str
    characters: int
    sha256: str
    secrets: tuple[str, ...]

    @property
    def cut(self) -> bool:
        """Whether `text` is not all of it."""
        return self.characters > len(self.text)

    def clean(self, message: str) -> str:
        """Another text about the statement, such as an error that quotes it, without its secrets."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            message = message.replace(secret, "***")
        return message


def redact(statement: str) -> Redacted:
    """Never fails, whatever the text is: what is refused is recorded too."""
    kept: list[str] = []
    secrets: set[str] = set()
    at = 0
    for piece in pieces(statement):
        if piece.kind != "comment" or piece.start < at or not _MARK.fullmatch(piece.text):
            continue
        end = piece.start + len(piece.text)
        between = _BETWEEN.match(statement, end)
        assert between is not None  # it also matches nothing
        begin = between.end()
        value = _QUOTED.match(statement, begin) or _BARE.match(statement, begin)
        if value is not None:
            kept += [statement[at:end], HIDDEN]
            secrets |= _forms(value)
            at = value.end()
    text = "".join([*kept, statement[at:]])
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return Redacted(text[:MAX_CHARACTERS], len(text), digest, tuple(secrets))


def _forms(value: re.Match[str]) -> set[str]:
    """The literal as written, and what it means: an error may quote either."""
    groups = value.groupdict()
    inside = groups.get("one") or groups.get("two") or value[0]
    return {value[0].strip(), inside, inside.replace("''", "'")}
