"""What is recorded is read back as the same rows; what is replayed decodes to them."""

import math
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from tests.unit.traces.making import slowed_job
from tests.unit.windows.making import make_rows

from gradcube.bus.consumer import Record
from gradcube.errors import ConfigError
from gradcube.events import decode_batch
from gradcube.traces import Trace, TraceWriter, findings_of, read_trace
from gradcube.traces import writer as writer_module
from gradcube.traces.recording import Recording
from gradcube.traces.replaying import StepEncoding, due_seconds, not_ahead_of, records_in_flight
from gradcube.windows.rows import StepRows


def random_rows(records: int = 300, seed: int = 0) -> StepRows:
    """Rows with everything that a record may hold: nulls, infinities, losses of records, moves to other nodes."""
    random = np.random.default_rng(seed)
    step, rank = np.divmod(np.arange(records), 5)
    rows = make_rows(
        (step + random.random(records)).tolist(), rank=rank.tolist(), step=step + 7, attempt=step // 20, stage=rank % 2,
        replica=rank // 2, node=[f"node-{n}" for n in random.integers(0, 9, records)],
        dropped=random.integers(0, 3, records), seq=2 * step + random.integers(0, 2, records),
    )  # fmt: skip
    rows.floats[:] = random.lognormal(0, 5, rows.floats.shape)
    rows.floats[random.random(rows.floats.shape) < 0.3] = np.nan
    rows.floats[random.random(records) < 0.1, 7] = np.inf
    rows.counts[:] = random.integers(-1, 2**50, rows.counts.shape)
    rows.counts[:, 0] = random.integers(0, 3, records)
    rows.bucket_absmax[::2] = random.random(len(rows.bucket_absmax[::2]))
    return rows


def assert_same(found: StepRows, wanted: StepRows) -> None:
    order = np.lexsort((wanted.rank, wanted.step, wanted.attempt))
    assert found.job == wanted.job
    for name in StepRows.DTYPES:
        if name not in ("offset", "appended_at_micros"):
            np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name)[order], err_msg=name)


def record(values: list[bytes]) -> list[Record]:
    return [Record("gradcube.steps", 0, at, 1_800_000_000_000 + at, b"", value, ()) for at, value in enumerate(values)]


def test_rows_written_are_read_back_to_the_bit(tmp_path: Path) -> None:
    rows = random_rows()
    with TraceWriter(tmp_path / "t.parquet", "bert") as writer:
        for start in range(0, len(rows), 64):
            writer.add(rows.take(np.arange(start, min(start + 64, len(rows)))))
    assert_same(read_trace(tmp_path / "t.parquet").rows, rows)


def test_until_when_was_listened_is_kept(tmp_path: Path) -> None:
    for name, until_micros in (("a", None), ("b", 1_800_000_000_000_000)):
        with TraceWriter(tmp_path / name, "bert") as writer:
            writer.add(make_rows([0]))
            writer.until_micros = until_micros
        assert read_trace(tmp_path / name).recorded_until_micros == until_micros
        assert read_trace(tmp_path / name).rows.job == "bert"


def test_row_groups_bound_what_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "ROWS_HELD", 50)
    rows = random_rows()
    with TraceWriter(tmp_path / "t.parquet", "bert") as writer:
        for start in range(0, len(rows), 30):
            writer.add(rows.take(np.arange(start, start + 30)))
            assert sum(map(len, writer._held)) < 50
    assert_same(read_trace(tmp_path / "t.parquet").rows, rows)


def test_a_record_sent_twice_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = make_rows([0, 1, 1.5, 2], step=[0, 1, 1, 2], loss=[3.0, 2.0, 9.0, 1.0])
    with TraceWriter(tmp_path / "t.parquet", "bert") as writer:
        writer.add(rows)
    assert (writer.records, writer.repeated) == (3, 1)
    assert read_trace(tmp_path / "t.parquet").rows.floats[:, 7].tolist() == [3, 2, 1]


def test_no_file_appears_before_the_end_and_none_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with suppress(RuntimeError), TraceWriter(path, "bert") as writer:
        writer.add(random_rows())
        assert not path.exists()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with TraceWriter(path, "bert"):
        pass
    assert list(tmp_path.iterdir()) == [], "a recording of nothing is no file"


def test_a_file_that_exists_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_text("precious")
    with pytest.raises(ConfigError, match=f"{path} exists"):
        TraceWriter(path, "bert")
    with pytest.raises(ConfigError, match="cannot be written"):
        TraceWriter(tmp_path / "absent" / "t.parquet", "bert")
    assert path.read_text() == "precious"


def test_other_jobs_and_unreadable_records_are_left_out_and_told(tmp_path: Path) -> None:
    own, other = (StepEncoding(job).records(slowed_job(3)) for job in ("bert", "gpt"))
    with TraceWriter(tmp_path / "t.parquet", "bert") as writer:
        recording = Recording(writer, "bert")
        values = [value for pair in zip(own, other, strict=True) for _, value in pair]
        assert recording.add(record([b"poison", *values])) == len(own)
        assert recording.add(record([value for _, value in other])) == 0
    assert (recording.unreadable, recording.other_jobs) == (1, {"gpt"})
    assert_same(read_trace(tmp_path / "t.parquet").rows, slowed_job(3))


def test_records_sent_again_decode_to_the_rows(tmp_path: Path) -> None:
    rows = random_rows()
    sent = StepEncoding("again").records(rows)
    assert sent[3][0] == b"again/3"
    batch, bad = decode_batch([value for _, value in sent])
    assert not bad
    again = StepRows.from_batch(batch, "again", np.ones(len(batch), bool), rows.offset, rows.appended_at_micros)
    assert_same(again, StepRows(**{**vars(rows), "job": "again"}))


def test_a_recorded_replay_has_the_findings_of_the_trace(tmp_path: Path) -> None:
    rows = slowed_job()
    with TraceWriter(tmp_path / "t.parquet", "bert") as writer:
        Recording(writer, "bert").add(record([value for _, value in StepEncoding("bert").records(rows)]))
    findings = list(findings_of(read_trace(tmp_path / "t.parquet")))
    assert findings
    assert findings == list(findings_of(Trace(rows, ())))


def test_steps_are_due_by_their_event_time() -> None:
    rows = make_rows([5, 5, 6, 8, 7], rank=[0, 1, 0, 0, 0], step=[0, 0, 1, 2, 3])
    assert [due for due, _ in due_seconds(Trace(rows, ()), 2)] == [0, 0.5, 1.5, 1.5]
    assert [due for due, _ in due_seconds(Trace(rows, ()), math.inf)] == [0, 0, 0, 0]


@pytest.mark.parametrize(("ranks", "records"), [(1, 400), (16, 6400), (8192, 65536), (100_000, 400_000)])
def test_a_replay_runs_ahead_by_a_bounded_number_of_steps(ranks: int, records: int) -> None:
    assert records_in_flight(ranks) == records


def test_times_ahead_of_the_clock_are_moved_back_together() -> None:
    rows = make_rows([0, 1, 3])
    moved, ahead_micros = not_ahead_of(Trace(rows, ()), int(rows.ended_at_micros[1]))
    assert ahead_micros == 2_000_000
    np.testing.assert_array_equal(moved.rows.ended_at_micros, rows.ended_at_micros - 2_000_000)
    assert not_ahead_of(moved, int(rows.ended_at_micros[1])) == (moved, 0)
