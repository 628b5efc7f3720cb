from typing import Any

from gradcube.cube.declarations.records import rows_of
from gradcube.cube.model import Catalog
from gradcube.events import decode, encode

AT_MICROS = 1_795_492_800_000_000
LIFECYCLE = {
    "job": "bert", "attempt": 1, "kind": "JOB_STARTED", "at": AT_MICROS, "epoch": 1, "rank": None, "node": None,
    "shard": None, "step": None, "detail": "", "model": "tiny", "model_parameters": 3, "hardware": "cpu",
    "dataset": "stdlib", "world_size": 4,
}  # fmt: skip


def read(name: str, record: dict[str, Any]) -> dict[str, Any]:
    """The record after its way through Avro."""
    return decode(encode(name, record))[1]


def test_row_has_every_column_that_a_record_carries(catalog: Catalog) -> None:
    records = {
        "JOBS": LIFECYCLE,
        "EVALUATIONS": {
            "job": "bert", "attempt": 0, "step": 9, "ended_at": AT_MICROS, "dataset": "held/out", "metric": "recall",
            "value": 0.5, "samples": 7,
        },
    }  # fmt: skip
    for name, record in records.items():
        cube = catalog.cubes[name]
        [row] = rows_of(cube, read(str(cube.source.schema), record), 5)
        assert list(row) == [column.name for column in cube.wire]
        assert row["TS"] == AT_MICROS // 1000
    assert row["EVALUATION_ID"] == "bert/0/9/held/out/recall"


def test_start_and_end_of_an_attempt_share_a_key_and_tell_what_each_knows(catalog: Catalog) -> None:
    cube = catalog.cubes["JOBS"]
    [start] = rows_of(cube, LIFECYCLE, 5)
    [end] = rows_of(cube, {**LIFECYCLE, "kind": "JOB_FINISHED", "at": AT_MICROS + 9_000_000, "step": 70}, 6)
    assert start["ATTEMPT_ID"] == end["ATTEMPT_ID"] == "bert/1"
    assert (start["STATUS"], start["STARTED"], start["ENDED"]) == ("RUNNING", start["TS"], None)
    assert (end["STATUS"], end["STARTED"], end["ENDED"]) == ("FINISHED", None, start["TS"] + 9_000)
    assert (start["WORLD_SIZE"], end["WORLD_SIZE"], end["END_STEP"]) == (4, None, 70)


def test_record_that_the_filter_leaves_out_is_no_row(catalog: Catalog) -> None:
    assert rows_of(catalog.cubes["JOBS"], {**LIFECYCLE, "kind": "RANK_JOINED"}, 5) == []


def test_each_measurement_of_a_sample_is_a_row_and_an_absent_one_is_none(catalog: Catalog) -> None:
    sample = {"node": "n", "device": "gpu:0", "sampled_at": AT_MICROS, "gpu_power_watts": 3.0, "memory_used_bytes": 0}
    rows = rows_of(catalog.cubes["RESOURCES"], read("ResourceSample", sample), 5)
    assert [(row["METRIC"], row["METRIC_VALUE"]) for row in rows] == [
        ("gpu_power_watts", 3.0),
        ("memory_used_bytes", 0),
    ]
    assert len({row["SAMPLE_ID"] for row in rows}) == 2
    assert rows[0]["JOB"] is None


def test_finding_s_time_is_that_of_its_record(catalog: Catalog) -> None:
    finding = {
        "id": "x", "job": "bert", "attempt": 0, "kind": "STRAGGLER", "state": "OPENED", "rank": 3, "onset_step": 1,
        "detected_step": 2, "onset_at": AT_MICROS, "detected_at": AT_MICROS, "magnitude": 1.8, "confidence": 0.9,
        "evidence": [], "verdict": "rank 3 is slow",
    }  # fmt: skip
    [row] = rows_of(catalog.cubes["FINDINGS"], read("Finding", finding), AT_MICROS // 1000 + 5)
    assert (row["TS"], row["ONSET_AT"]) == (AT_MICROS // 1000 + 5, AT_MICROS // 1000)
    assert (row["WORKER"], row["NODE"], row["END_STEP"]) == (3, None, None)
