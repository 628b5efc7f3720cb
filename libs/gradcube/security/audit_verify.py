"""Audit files and the key in, what the chain says of itself out; the first entry that does not follow is an error."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gradcube.errors import AuditError
from gradcube.security import audit_files
from gradcube.security.audit_chain import Chain


@dataclass
class Report:
    """`unsigned` lines lie after the last signed head, `torn` ends are those of crashes. `signed` is None without key.

    Who can write the files can cut the newest lines off. `last` and `hash` are what to note elsewhere against that.
    """

    files: int = 0
    lines: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    signed: int | None = None
    unsigned: int = 0
    last: int = -1
    hash: str = ""
    torn_end: bool = False


def verify(paths: Sequence[Path], key: bytes | None, *, noted: str | None = None) -> Report:
    """Follows the files (oldest first) line by line. `noted`: a hash from an earlier report that must be among them.

    Raises AuditError `file:line: entry N ...` for the first that is wrong.
    """
    if not paths:
        raise AuditError("there is no audit file to verify; give its path")
    report, chain, found = Report(signed=None if key is None else 0), None, noted is None
    for path in paths:
        begin = audit_files.beginning(path)
        if chain is not None and begin != chain:
            raise AuditError(f"{path}:1: entry {begin.seq} does not continue the file before it: entries are missing")
        chain = begin
        for step in audit_files.walk(path, begin):
            if isinstance(step, bytes):
                report.torn_end = True
                continue
            _count(report, path, step, chain, key)
            chain = step.chain
            found = found or chain.last.hex() == noted
        report.files += 1
    if not found:
        raise AuditError(f"the noted hash {noted} is not in the chain: its end was cut off, or it is another chain")
    return report


def _count(report: Report, path: Path, step: audit_files.Step, before: Chain, key: bytes | None) -> None:
    kind = str(step.body.get("kind"))
    report.lines += 1
    report.kinds[kind] += 1
    report.last, report.hash = before.seq, step.chain.last.hex()
    report.unsigned += 1
    if kind == "head" and key is not None:
        if not before.signed_by(key, step.body):
            raise AuditError(f"{path}:{step.line}: entry {before.seq} is a head that the key did not sign")
        report.signed = (report.signed or 0) + 1
        report.unsigned = 0
