"""Files that are no honest dump: each is refused with a sentence that names it, and nothing of it runs."""

import io
import os
import pickle
import pickletools
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from tests.unit.flight_recorder.making import job

from gradcube.errors import TraceError
from gradcube.flight_recorder import diagnose_dumps
from gradcube.flight_recorder.plain import ALLOWED, MAX_BYTES, load_plain


class Runs:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._folder),)


class Persistent(pickle.Pickler):
    def persistent_id(self, obj: object) -> object:
        return "elsewhere" if obj == "kept" else None


def persistent() -> bytes:
    out = io.BytesIO()
    Persistent(out, 2).dump({"entries": "kept"})
    return out.getvalue()


def deep_key(depth: int) -> bytes:
    """A dict whose key is a tuple of twice the same tuple of twice the same tuple ...: 2 ** depth hashes."""
    return b"\x80\x02}" + b"K\x01" + b"".join(b"q%c2\x86" % (at % 256) for at in range(depth)) + b"Nsq\x00."


HOSTILE = {
    "a call": b"cos\nsystem\n(S'true'\ntR.",
    "a class": pickle.dumps(OrderedDict(), 2),
    "a class by stack": pickle.dumps(OrderedDict(), 4),
    "an extension": b"\x80\x02\x82\x01.",
    "an instance": b"(ios\nsystem\n.",
    "a built object": b"\x80\x02}}b.",
    "a persistent object": persistent(),
    "bytes": pickle.dumps({"entries": b"x"}, 4),
    "a set": pickle.dumps({"entries": {1}}, 4),
    "a buffer": b"\x80\x05\x97.",
    "cut off": pickle.dumps(job().run().raw(0, False), 2)[:-200],
    "empty": b"",
    "text": b"this is no pickle",
    "a huge memo": b"\x80\x02}r\xff\xff\xff\x7f.",
    "a negative memo": b"\x80\x02}q\x00h\x05.",
    "a string longer than the file": b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fx.",
    "a number longer than the file": b"\x80\x02\x8b\xff\xff\xff\x7f\x01.",
    "a frame longer than the file": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f}.",
    "tuples in tuples as a key": deep_key(60),
    "an empty stack": b"\x80\x02s.",
    "no mark": b"\x80\x02}u.",
    "two pickles": pickle.dumps({"entries": []}, 2) * 2,
    "a list": pickle.dumps([], 2),
    "no entries": pickle.dumps({"version": "2.9"}, 2),
    "a future version": pickle.dumps({"version": "3.0", "entries": []}, 2),
    "entries of numbers": pickle.dumps({"version": "2.9", "entries": [1, 2]}, 2),
    "an entry without a name": pickle.dumps({"version": "2.9", "entries": [{"state": "scheduled"}]}, 2),
    "groups of text": pickle.dumps({"version": "2.9", "entries": [], "pg_config": {"0": "all"}}, 2),
    "ranks that are code": pickle.dumps({"entries": [], "pg_config": {"0": {"ranks": "__import__('os')"}}}, 2),
    "ranks that are a number": pickle.dumps({"entries": [], "pg_config": {"0": {"ranks": "7"}}}, 2),
    "status of text": pickle.dumps({"entries": [], "pg_status": {"0": {"last_enqueued_collective": "x"}}}, 2),
    "a number that no clock shows": pickle.dumps(
        {"entries": [{"profiling_name": "nccl:all_reduce", "state": "scheduled", "pg_id": 0, "seq_id": 2**64}]}, 2
    ),
    "a sequence without end": b'{"entries": [{"profiling_name": "a", "state": "b", "pg_id": 0, "seq_id": Infinity}]}',
    "JSON cut off": b'{"entries": [',
    "JSON nested deep": b'{"entries": ' + b"[" * 100_000,
    "JSON of a huge number": b'{"entries": [], "version": ' + b"9" * 10_000 + b"}",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_dump_is_refused_by_name(what: str, tmp_path: Path) -> None:
    (tmp_path / "_dump_3").write_bytes(HOSTILE[what])
    with pytest.raises(TraceError, match="_dump_3"):
        diagnose_dumps(tmp_path)


@pytest.mark.parametrize("protocol", range(6))
def test_code_in_a_dump_does_not_run(protocol: int, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    with pytest.raises(TraceError, match="builds more than plain containers"):
        load_plain(pickle.dumps({"entries": [Runs(ran)]}, protocol), "_dump_0")
    assert not ran.exists()


def test_only_opcodes_that_cannot_call_or_import_are_let_through() -> None:
    known = {opcode.name for opcode in pickletools.opcodes}
    assert known >= ALLOWED
    calls = {"GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}
    assert not ALLOWED & (calls | {"PERSID", "BINPERSID", "NEXT_BUFFER", "READONLY_BUFFER"})


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_containers_come_back_as_they_were(protocol: int) -> None:
    plain = job().run().raw(0, False) | {"nested": [(1, "a"), {"b": [None, True, 2.5, -1, 2**70]}], "empty": ()}
    assert load_plain(pickle.dumps(plain, protocol), "_dump_0") == plain


def test_file_over_the_bound_is_refused_before_it_is_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "_dump_0").open("wb") as file:
        file.truncate(100 * MAX_BYTES)
    with pytest.raises(TraceError, match="more than the"):
        diagnose_dumps(tmp_path)


def test_too_many_opcodes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradcube.flight_recorder.plain.MAX_OPCODES", 100)
    with pytest.raises(TraceError, match="more than 100 opcodes"):
        load_plain(pickle.dumps([[]] * 200, 2), "_dump_0")


def test_folder_without_dumps_and_missing_folder_say_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "fault.log").write_text("nothing")
    with pytest.raises(TraceError, match="names end in the rank"):
        diagnose_dumps(tmp_path)
    with pytest.raises(TraceError, match="is not a folder"):
        diagnose_dumps(tmp_path / "absent")


def test_two_dumps_of_one_rank_are_refused(tmp_path: Path) -> None:
    for name in ("_dump_0", "trace_rank_0.json"):
        (tmp_path / name).write_bytes(pickle.dumps({"entries": []}, 2))
    with pytest.raises(TraceError, match="second dump of rank 0"):
        diagnose_dumps(tmp_path)


def test_fields_that_a_version_does_not_have_may_be_missing(tmp_path: Path) -> None:
    hung = job(stages=1)
    hung.ranks[1].stops_at = 7
    hung.run()
    for number in range(4):
        raw = hung.raw(number, False)
        old = {"version": "1.5", "pg_config": raw["pg_config"], "entries": raw["entries"]}
        for entry in old["entries"]:
            for name in ("is_p2p", "retired", "timeout_ms", "pg_id", "time_created_ns", "input_dtypes", "op_id"):
                entry.pop(name)
            entry["seq_id"] = entry.pop("collective_seq_id")
        (tmp_path / f"nccl_trace_rank_{number}").write_bytes(pickle.dumps(old, 2))
    assert [finding.subject.rank for finding in diagnose_dumps(tmp_path)] == [1]
