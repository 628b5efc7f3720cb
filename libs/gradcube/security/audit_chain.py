"""The audit chain's lines: canonical JSON, each with a hash over itself and the line before; signed heads among them.

A line is `{"...": ..., "hash": e}` with e_i = SHA-256(0x00 || e_(i-1) || canonical JSON without the hash). A line of
kind `head` also has `mac`, HMAC-SHA256 over its number and the hash before it, which only who has the key can make.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GENESIS = bytes(32)
MAX_LINE_BYTES = 256 << 10
_LEAF = b"\x00"
_HASH_TAIL = len(',"hash":""}') + 64


@dataclass(frozen=True)
class Chain:
    """The state between two lines: the number of the next one, and the hash of the last."""

    seq: int = 0
    last: bytes = GENESIS

    def link(self, body: Mapping[str, Any]) -> tuple[bytes, "Chain"]:
        """The line for a body (JSON values, without seq and hash), with its end, and the state after it."""
        text = canonical({**body, "seq": self.seq})
        digest = self._digest(text)
        return text[:-1] + b',"hash":"' + digest.hex().encode() + b'"}\n', Chain(self.seq + 1, digest)

    def sign(self, key: bytes, body: Mapping[str, Any]) -> tuple[bytes, "Chain"]:
        """The same for a signed head."""
        return self.link({**body, "kind": "head", "mac": self.mac(key)})

    def mac(self, key: bytes) -> str:
        """What a head that is next must carry."""
        message = b"gradcube audit head\x00" + self.seq.to_bytes(8, "big") + self.last
        return hmac.new(key, message, hashlib.sha256).hexdigest()

    def signed_by(self, key: bytes, body: Mapping[str, Any]) -> bool:
        """Whether the body of the head that is next carries the key's."""
        return hmac.compare_digest(str(body.get("mac")).encode(), self.mac(key).encode())

    def follow(self, line: bytes) -> tuple[dict[str, Any], "Chain"]:
        """The body of a line that comes next, and the state after it. Raises ValueError that says what is wrong."""
        text, digest = split(line)
        body = json.loads(text)
        if not isinstance(body, dict) or canonical(body) != text:
            raise ValueError("is not in the chain's own form")
        if body.get("seq") != self.seq:
            raise ValueError(f"has the number {body.get('seq')!s:.20}; {self.seq} comes next")
        if not hmac.compare_digest(digest, self._digest(text)):
            raise ValueError("does not have the hash that its content and the entry before it give")
        return body, Chain(self.seq + 1, digest)

    def _digest(self, text: bytes) -> bytes:
        return hashlib.sha256(_LEAF + self.last + text).digest()


def canonical(body: Mapping[str, Any]) -> bytes:
    """Sorted keys, no spaces, ASCII: one text for one content. So nothing in a value can begin a new line."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def split(line: bytes) -> tuple[bytes, bytes]:
    """Canonical text and hash of a line with its end. Raises ValueError."""
    text, tail = line[: -1 - _HASH_TAIL] + b"}", line[-1 - _HASH_TAIL :]
    if len(line) > MAX_LINE_BYTES or tail[:9] != b',"hash":"' or tail[73:] != b'"}\n':
        raise ValueError("is not a whole entry")
    return text, bytes.fromhex(tail[9:73].decode("ascii"))
