"""What is no trace, or holds a row that cannot be: one sentence each, with the row; never anything but TraceError."""

from contextlib import suppress
from pathlib import Path

import pyarrow as arrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from tests.unit.traces.making import text, write

from gradcube.errors import TraceError
from gradcube.traces import read_trace


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("0,0,loss,abc", r"row 2: value is 'abc', not a number"),
        ("0,-3,loss,1", r"row 2: rank -3 is negative; leave it empty for the whole job"),
        ("0,2147483648,loss,1", r"row 2: rank 2147483648 is more than 2147483647"),
        ("-1,0,loss,1", r"row 2: step -1 is negative"),
        (",0,loss,1", r"row 2: it has no step"),
        ("1.5,0,loss,1", r"row 2: step 1.5 is not a whole number"),
        ("99999999999999999999,0,loss,1", r"row 2: step 1e\+20 is beyond 64 bits"),
        ("x,0,loss,1", r"row 2: step is 'x', not a number"),
        ("0,0,,1", r"row 2 has no metric"),
        ("0,0,loss,3", r"rows 1 and 2: loss of the same step and rank is 5 and 3"),
        ("0,0,step_ms,3", r"metric 'step_ms' is not in seconds"),
        ("0,0,sync_wait_microseconds,3", r"name it sync_wait_seconds"),
        ("0,0,step_seconds,-3", r"row 2: step_seconds is -3; a duration is finite and not negative"),
        ("0,0,step_seconds,inf", r"row 2: step_seconds is inf"),
        ("0,0,tokens,1.5", r"row 2: tokens is 1.5; it counts"),
        ("0,0,tokens,-1", r"row 2: tokens is -1"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: str, words: str) -> None:
    path = text(tmp_path / "t.csv", "step,rank,metric,value", "0,0,loss,5", row)
    with pytest.raises(TraceError, match=words) as raised:
        read_trace(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_two_names_of_one_field_are_refused(tmp_path: Path) -> None:
    names = ["forward_seconds", "forward_compute_seconds"]
    with pytest.raises(TraceError, match=r"both mean forward_seconds; keep one"):
        read_trace(write(tmp_path / "t.csv", step=[0, 0], metric=names, value=[1.0, 2.0]))


def test_a_time_in_milliseconds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"row 1: time 1.8e\+12 is not in seconds|time 1800000000000"):
        read_trace(write(tmp_path / "t.csv", step=[0], metric=["loss"], value=[1.0], time=[1.8e12]))


def test_step_seconds_that_are_no_seconds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="years; are they in seconds"):
        read_trace(write(tmp_path / "t.csv", step=[0], metric=["step_seconds"], value=[1e30]))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.parquet", b"", "empty"),
        ("t.csv", b"", "empty"),
        ("t.csv", b"step,metric,value\n", "no rows"),
        ("t.parquet", b"\x7fELF\x02\x01\x01" + bytes(64), "no Parquet file"),
        ("t.csv", bytes(range(128, 256)) * 3, "not a trace"),
        ("t.parquet", b"PAR1" + bytes(range(64)), "not a trace"),
        ("t.csv", b"a,b\n1,2\n", "no column step, metric, value; it has 'a', 'b'"),
        ("t.csv", b"step;metric;value\n1;loss;2\n", "it has 'step;metric;value'"),
        ("t.csv", b"step,step,metric,value\n1,1,loss,2\n", "more than one column step"),
        ("t.csv", b"step,metric,value\n1,depth_meters,2\n", "none of its metrics is known"),
        ("t.csv", b"step,metric,value\n1,loss\n", "not a trace"),
        ("t.txt", b"step,metric,value\n1,loss,1\n", "a file named .csv"),
    ],
)
def test_what_is_no_trace_is_said_in_one_sentence(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TraceError, match=words) as raised:
        read_trace(path)
    assert "\n" not in str(raised.value)


def test_missing_files_and_folders_are_said_to_be(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.csv", tmp_path):
        with pytest.raises(TraceError, match=str(path)):
            read_trace(path)


@pytest.mark.parametrize(
    "columns",
    [
        {"step": [[1]], "metric": ["loss"], "value": [1.0]},
        {"step": [1], "metric": [7], "value": [1.0]},
        {"step": [1], "metric": [{"name": "loss"}], "value": [1.0]},
        {"step": [1], "metric": ["loss"], "value": [True]},
        {"step": [1], "metric": ["loss"], "value": [b"\xff"]},
        {"step": [1], "metric": [None], "value": [1.0]},
        {"step": [1], "rank": [2**40], "metric": ["loss"], "value": [1.0]},
        {"step": [1], "metric": ["loss"], "value": [1.0], "time": [[1]]},
        {"step": [1], "metric": ["loss"], "value": [1.0], "node": [3]},
        {"epoch": [1]},
    ],
)
def test_parquet_of_other_types_is_refused(tmp_path: Path, columns: dict[str, list[object]]) -> None:
    path = tmp_path / "t.parquet"
    parquet.write_table(arrow.table(columns), path)
    with pytest.raises(TraceError):
        read_trace(path)


ODD = st.sampled_from(
    ["", "-1", "1.5", "nan", "inf", "1e400", "9223372036854775808", "1970-01-01", "True", "é", "\x00", " 1 ", '"']
)
PLAIN = {
    "step": st.integers(0, 3).map(str),
    "metric": st.sampled_from(["loss", "step_seconds", "tokens", "seq", "gc_seconds"]),
    "value": st.integers(0, 2).map(str),
    "rank": st.sampled_from(["", "0", "1"]),
    "node": st.sampled_from(["", "a"]),
    "time": st.sampled_from(["", "5", "6.5"]),
    "attempt": st.sampled_from(["0", "1"]),
}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_cells_of_any_kind_give_rows_or_a_trace_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    header = data.draw(st.permutations(list(PLAIN)))
    line = st.tuples(*(PLAIN[name] for name in header)).map(list)
    lines = data.draw(st.lists(line, min_size=1, max_size=5))
    for _ in range(data.draw(st.integers(0, 2))):
        lines[data.draw(st.integers(0, len(lines) - 1))][data.draw(st.integers(0, 6))] = data.draw(ODD)
    path = tmp_path_factory.getbasetemp() / "fuzzed.csv"
    path.write_text("\n".join(",".join(line) for line in [header, *lines]))
    read_or_refuse(path)


HEADS = [b"", b"step,metric,value\n", b"PAR1", b"\xef\xbb\xbfstep,metric,value,rank\n0,loss,1,0\n"]


@settings(max_examples=60, deadline=None)
@given(head=st.sampled_from(HEADS), body=st.binary())
def test_bytes_of_any_kind_give_rows_or_a_trace_error(
    tmp_path_factory: pytest.TempPathFactory, head: bytes, body: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.csv"
    path.write_bytes(head + body)
    read_or_refuse(path)


def read_or_refuse(path: Path) -> None:
    with suppress(TraceError):
        assert len(read_trace(path).rows)
