from dataclasses import dataclass, replace

import pytest
from tests.unit.cube.facts import value

from gradcube.cube.columns import _one_by_one
from gradcube.cube.fast_json import parse_all
from gradcube.cube.model import CubeModel, load_catalog
from gradcube.cube.records import decode_records
from gradcube.events import encode


@dataclass(frozen=True)
class Sent:
    value: bytes | None
    timestamp_millis: int = 1_795_492_800_000


LIFECYCLE = {
    "job": "bert", "attempt": 1, "kind": "JOB_STARTED", "at": 1_795_492_800_123_456, "epoch": 1, "rank": None,
    "node": None, "shard": None, "step": None, "detail": "", "model": "bert", "model_parameters": 7, "hardware": "cpu",
    "dataset": "stdlib", "world_size": 4,
}  # fmt: skip
SAMPLE = {"node": "n", "device": "gpu:0", "sampled_at": 1_795_492_800_000_000, "gpu_power_watts": 300.5,
          "gpu_memory_used_bytes": 5}  # fmt: skip


def test_avro_record_becomes_a_row_by_paths_with_times_in_milliseconds() -> None:
    jobs = load_catalog().cubes["JOBS"]
    started = Sent(encode("Lifecycle", LIFECYCLE))
    other = Sent(encode("Lifecycle", {**LIFECYCLE, "kind": "RANK_JOINED"}))
    ended = Sent(encode("Lifecycle", {**LIFECYCLE, "kind": "JOB_FINISHED", "step": 90}))
    decoded = decode_records([started, other, ended], jobs)
    assert not decoded.bad
    assert decoded.places.tolist() == [0, 2]
    rows = decoded.rows.to_pylist()
    assert [(row["ATTEMPT_ID"], row["STATUS"], row["WORLD_SIZE"]) for row in rows] == [
        ("bert/1", "RUNNING", 4),
        ("bert/1", "FINISHED", None),
    ]
    assert rows[0]["TS"].isoformat() == "2026-11-24T04:00:00.123000"
    assert (rows[0]["ENDED"], rows[1]["END_STEP"]) == (None, 90)


def test_sample_becomes_a_row_for_each_measurement_that_it_has() -> None:
    decoded = decode_records([Sent(encode("ResourceSample", SAMPLE))], load_catalog().cubes["RESOURCES"])
    assert not decoded.bad
    assert decoded.places.tolist() == [0, 0]
    found = {(row["METRIC"], row["METRIC_VALUE"]) for row in decoded.rows.to_pylist()}
    assert found == {("gpu_memory_used_bytes", 5.0), ("gpu_power_watts", 300.5)}


@pytest.mark.parametrize("bad", [None, b"", b"junk", b"\x00\x00\x00\x00\x01x", encode("ResourceSample", SAMPLE)])
def test_record_that_is_not_of_the_cube_is_bad_alone(bad: bytes | None) -> None:
    jobs = load_catalog().cubes["JOBS"]
    good = Sent(encode("Lifecycle", LIFECYCLE))
    decoded = decode_records([good, Sent(bad), good], jobs)
    assert [one.index for one in decoded.bad] == [1]
    assert decoded.places.tolist() == [0, 2]


def test_every_shipped_cube_decodes_nothing_into_no_rows() -> None:
    for cube in load_catalog().cubes.values():
        assert decode_records([], cube).rows.column_names == [column.name for column in cube.wire]


def test_places_of_flat_facts_leave_the_bad_ones_out(model: CubeModel) -> None:
    decoded = decode_records([Sent(value(1)), Sent(b"junk"), Sent(value(2))], model)
    assert (decoded.places.tolist(), [one.index for one in decoded.bad]) == ([0, 2], [1])


ODD = [
    value(1).replace(b'"JOB":"bert"', b'"JOB":"b\\u00e9rt \\"x\\" [{"'), value(1).replace(b'"bert"', '"bärt"'.encode()),
    value(1).replace(b"0.0", b"1e2"), value(1).replace(b'"SAMPLES":5', b'"SAMPLES":-0'), b" " + value(1) + b"\n",
    value(1)[:-1] + b',"MORE":{"a":[1,{}]}}', value(1).replace(b",", b" ,\n ", 3), b"{}", b"{}{}",
    value(1) + b"\n" + value(2), value(1)[:-1] + b',"x":[' + b"[" * 2000 + b"]" * 2000 + b"]}",
    value(1)[:-1] + b',"TS":3}', value(1)[:-1] + b',"x":"\xff"}', value(1)[:-1] + b',"x":NaN}',
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_arrow_says_of_a_value_what_orjson_says_or_nothing(model: CubeModel, odd: bytes) -> None:
    parsed = parse_all([value(3), odd, value(4)], model)
    one_by_one, bad = _one_by_one([value(3), odd, value(4)], model)
    assert parsed is None or (parsed.equals(one_by_one) and not bad)


def test_values_that_hide_two_facts_and_halves_of_one_are_not_taken_for_three(model: CubeModel) -> None:
    two, half, rest = value(1) + b"\n" + value(2), value(3)[:200], value(3)[200:]
    assert parse_all([two, half, rest], model) is None
    assert parse_all([value(1), value(2)], model) is not None


def test_declared_nullable_dimension_of_an_avro_cube_may_be_absent_but_never_its_key() -> None:
    jobs = load_catalog().cubes["JOBS"]
    keyless = replace(jobs, key="NODE", columns=(*jobs.columns[:-1], replace(jobs.columns[-1], name="NODE")))
    keyless = replace(keyless, source=replace(jobs.source, fields=(*jobs.source.fields, ("NODE", "node"))))
    decoded = decode_records([Sent(encode("Lifecycle", LIFECYCLE))], keyless)
    assert "NODE is None" in str(decoded.bad[0].error)
