import hashlib
import hmac
import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.waiting import wait_until

from gradcube.errors import AuditError, ConfigError
from gradcube.security import audit_file, audit_files
from gradcube.security.audit import AuditLog, AuditSettings
from gradcube.security.audit_entry import Entry
from gradcube.security.audit_verify import verify

ENTRY = Entry("ann", "10.0.0.1", "query", "ok", "select 1", rows=1, seconds=0.25)
KEY = b"k" * 32
SMALL = AuditSettings(sign_every=10, rotate_bytes=4096, fsync_seconds=0, patience_seconds=0.2)


def write(path: Path, number: int, settings: AuditSettings = SMALL) -> None:
    with AuditLog(path, KEY, settings) as audit:
        for one in range(number):
            audit.record(replace(ENTRY, rows=one))


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def test_every_entry_is_hashed_with_the_one_before_it_as_the_docs_say(path: Path) -> None:
    write(path, 3)
    previous = bytes(32)
    for line in lines(path):
        entry = json.loads(line)
        digest = bytes.fromhex(entry.pop("hash"))
        text = json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()
        assert digest == hashlib.sha256(b"\0" + previous + text).digest()
        if entry["kind"] == "head":
            message = b"gradcube audit head\0" + entry["seq"].to_bytes(8, "big") + previous
            assert entry["mac"] == hmac.new(KEY, message, "sha256").hexdigest()
        previous = digest
    kinds = [json.loads(line)["kind"] for line in lines(path)]
    assert kinds == ["start", "action", "action", "action", "head"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_whole_chain_is_verified_over_restarts_and_rotations(path: Path) -> None:
    for _ in range(4):
        write(path, 25)
    found = audit_files.files(path)
    report = verify(found, KEY)
    assert len(found) == report.files > 2
    assert report.kinds["action"] == 100
    assert report.signed is not None
    assert report.signed > 8
    assert (report.unsigned, report.torn_end) == (0, False)
    rows = [json.loads(line)["rows"] for one in found for line in lines(one) if b'"kind":"action"' in line]
    assert rows == [*range(25)] * 4
    assert verify(found[1:], KEY).files == len(found) - 1  # the oldest may be archived elsewhere
    assert verify([found[1]], None).signed is None


def changed(line: bytes) -> bytes:
    return line.replace(b'"rows":4', b'"rows":5')


TAMPERINGS: list[tuple[Callable[[list[bytes]], list[bytes]], int]] = [
    (lambda all_: [*all_[:5], changed(all_[5]), *all_[6:]], 6),
    (lambda all_: [*all_[:5], *all_[6:]], 6),
    (lambda all_: [*all_[:5], all_[6], all_[5], *all_[7:]], 6),
    (lambda all_: [*all_[:5], all_[4], *all_[5:]], 6),
    (lambda all_: [*all_[:5], b"\n", *all_[5:]], 6),
    (lambda all_: [*all_[:5], all_[5].replace(b'"seq"', b' "seq"'), *all_[6:]], 6),
    (lambda all_: [*all_[:5], b'{"x":1,' + all_[5][1:], *all_[6:]], 6),
    (lambda all_: [*all_[:5], b"\0" * 300_000, *all_[5:]], 6),
    (lambda all_: all_[1:], 1),
    (lambda all_: [all_[0].replace(b"00", b"01"), *all_[1:]], 1),
]


@pytest.mark.parametrize(("tamper", "line"), TAMPERINGS)
def test_the_first_bad_entry_is_named(path: Path, tamper: Callable[[list[bytes]], list[bytes]], line: int) -> None:
    write(path, 8)
    path.write_bytes(b"".join(tamper(lines(path))))
    with pytest.raises(AuditError, match=rf"audit.jsonl:{line}: ") as caught:
        verify([path], KEY)
    assert len(str(caught.value)) < 400
    with pytest.raises(AuditError):  # and nobody writes on behind it as if nothing had been
        AuditLog(path, KEY, SMALL)


def test_a_chain_made_anew_without_the_key_is_found_by_its_heads(path: Path) -> None:
    with AuditLog(path, b"another key", SMALL) as audit:
        audit.record(ENTRY)
    verify([path], None)
    with pytest.raises(AuditError, match=r"audit\.jsonl:3: entry 2 is a head that the key did not sign"):
        verify([path], KEY)


def test_a_cut_end_is_found_by_a_noted_hash_and_a_missing_file_by_its_neighbours(path: Path) -> None:
    for _ in range(4):
        write(path, 25)
    found = audit_files.files(path)
    noted = verify(found, KEY).hash
    verify(found, KEY, noted=noted)
    with pytest.raises(AuditError, match="entries are missing"):
        verify([found[0], *found[2:]], KEY)
    path.write_bytes(b"".join(lines(path)[:-3]))
    assert verify(found, KEY).unsigned > 0
    with pytest.raises(AuditError, match="noted hash"):
        verify(found, KEY, noted=noted)


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_a_torn_last_line_is_marked_and_the_chain_goes_on(path: Path, kept: int) -> None:
    write(path, 5)
    whole, torn = b"".join(lines(path)[:-2]), lines(path)[-2][:kept]
    path.write_bytes(whole + torn)
    assert verify([path], KEY).torn_end
    write(path, 2)
    report = verify([path], KEY)
    assert (report.kinds["torn"], report.kinds["action"], report.torn_end) == (1, 6, False)
    mark = next(json.loads(line) for line in lines(path) if b'"kind":"torn"' in line)
    assert (mark["bytes"], mark["fragment"]) == (len(torn), torn.decode())


def test_a_crash_at_any_byte_leaves_a_chain_that_goes_on(path: Path) -> None:
    write(path, 30)
    found = audit_files.files(path)
    content = found[-1].read_bytes()
    for size in range(0, len(content), 97):
        path.write_bytes(content[:size])
        write(path, 1)
        verify(audit_files.files(path), KEY)


def test_a_chain_is_written_by_one_process_at_a_time(path: Path) -> None:
    with AuditLog(path, KEY, SMALL), pytest.raises(ConfigError, match="another process"):
        AuditLog(path, KEY, SMALL)


def test_what_many_threads_record_is_all_there(path: Path) -> None:
    with AuditLog(path, KEY, replace(SMALL, queue_entries=8, patience_seconds=30)) as audit:
        threads = [threading.Thread(target=lambda: [audit.record(ENTRY) for _ in range(200)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert verify(audit_files.files(path), KEY).kinds["action"] == 800


def test_a_full_disk_blocks_then_refuses_and_loses_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full, real = threading.Event(), os.pwrite

    def pwrite(file: int, data: bytes, offset: int) -> int:
        if full.is_set():
            real(file, data[:7], offset)
            raise OSError(28, "No space left on device")
        return real(file, data, offset)

    monkeypatch.setattr(audit_file.os, "pwrite", pwrite)
    audit = AuditLog(path, KEY, replace(SMALL, queue_entries=2))
    full.set()
    accepted = 0
    with pytest.raises(AuditError, match="No space left"):  # noqa: PT012 - the first that blocks too long ends it
        for number in range(100):
            audit.record(replace(ENTRY, rows=number))
            accepted += 1
    assert audit.broken == "No space left on device"
    assert verify([path], KEY).torn_end is False
    full.clear()
    wait_until(lambda: audit.broken is None, 10, "the writer tries again")
    audit.close()
    rows = [json.loads(line)["rows"] for line in lines(path) if b'"kind":"action"' in line]
    assert rows == list(range(accepted))
    verify([path], KEY)


def test_entries_that_never_reach_the_disk_are_told_at_close(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audit = AuditLog(path, KEY, SMALL)
    audit.flush()

    def broken(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(audit_file.os, "pwrite", broken)
    audit.record(ENTRY)
    with pytest.raises(AuditError, match="without 1 entries"):
        audit.close()
    with pytest.raises(AuditError):
        audit.record(ENTRY)


def test_hostile_text_stays_within_its_line_and_secrets_out_of_it(path: Path) -> None:
    statement = "select '\n{\"kind\":\"head\"}\r\u2028\ud800\0' /*secret*/'hush' " + "x" * 20_000
    with AuditLog(path, KEY, SMALL) as audit:
        audit.record(Entry("a\nb" * 500, "::1\n", "query", "refused", statement, reason="near 'hush'\n" + "y" * 999))
    verify([path], KEY)
    assert len(lines(path)) == 3
    entry = json.loads(lines(path)[1])
    assert b"hush" not in path.read_bytes()
    assert (len(entry["statement"]), len(entry["who"]), len(entry["reason"])) == (8192, 256, 256)
    assert entry["statement_characters"] > 20_000
    assert len(entry["statement_sha256"]) == 64


def test_a_verdict_is_one_of_those_that_are_listed() -> None:
    with pytest.raises(ValueError, match="verdict 'fine'"):
        replace(ENTRY, verdict="fine")


def test_the_key_is_made_once_with_mode_600(tmp_path: Path) -> None:
    for _ in range(2):
        AuditLog.open(tmp_path / "audit" / "audit.jsonl", tmp_path / "key").close()
    assert ((tmp_path / "key").stat().st_mode & 0o777, (tmp_path / "audit").stat().st_mode & 0o777) == (0o600, 0o700)
    verify([tmp_path / "audit" / "audit.jsonl"], (tmp_path / "key").read_bytes().strip())
