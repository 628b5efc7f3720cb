"""The hot path writes what fastavro writes, to the byte."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from tests.unit.events.records import IDENTITIES, STEPS, as_record, encoded_step, fastavro_body, step

from gradcube.errors import SchemaError
from gradcube.events import BUCKET_FIELDS, COUNT_FIELDS, FLOAT_FIELDS, StepIdentity, StepSyncEncoder, encode, registry
from gradcube.events.step_sync import check_schema

IDENTITY = StepIdentity("bert", 0, 2, "node-a")


@given(IDENTITIES, STEPS)
@example(StepIdentity("", 0, 0, ""), step(num_buckets=0))
@example(StepIdentity("jöb-✓-𝄞", 2**31 - 1, -(2**31), "n" * 300), step(number=2**62, num_buckets=9000))
@example(IDENTITY, step() | {"floats": (float("nan"), float("inf"), float("-inf"), 1e300, -1e300, 1e-50, *[0.0] * 7)})
def test_record_is_byte_identical_to_fastavros(identity: StepIdentity, parts: dict[str, Any]) -> None:
    value = StepSyncEncoder(identity).encode(**parts)
    assert value[:5] == b"\x00\x00\x00\x00\x01"
    assert value[5:] == fastavro_body("StepSync", as_record(identity, parts))
    assert value == encode("StepSync", as_record(identity, parts))


def test_one_encoder_keeps_nothing_of_the_step_before() -> None:
    encoder = StepSyncEncoder(IDENTITY)
    for number, num_buckets in ((1, 4), (2, 4), (3, 0), (4, 300), (5, 4), *((6 + n, n) for n in range(40))):
        assert encoder.encode(**step(number, num_buckets)) == encoded_step(number, num_buckets)


def test_templates_of_many_bucket_counts_do_not_pile_up() -> None:
    encoder = StepSyncEncoder(IDENTITY)
    for num_buckets in range(200):
        encoder.encode(**step(0, num_buckets))
    assert len(encoder._templates) <= 16


def test_known_counts_do_not_pile_up_and_stay_right() -> None:
    encoder = StepSyncEncoder(IDENTITY)
    for version in (*range(3000), 0, 2999, 1):
        parts = step() | {"counts": (0, version, None, 20, 30, 4096, 8, 32)}
        assert encoder.encode(**parts) == StepSyncEncoder(IDENTITY).encode(**parts)
    assert len(encoder._known_counts) <= 1024


def test_buckets_of_any_memory_layout_are_written_by_value() -> None:
    plain = step(3, 5)
    fortran = plain | {"buckets": np.asfortranarray(plain["buckets"])}
    strided = plain | {"buckets": np.repeat(plain["buckets"], 2, axis=1)[:, ::2]}
    encoder = StepSyncEncoder(IDENTITY)
    assert encoder.encode(**fortran) == encoder.encode(**strided) == encoder.encode(**plain)


def test_numpy_integers_are_written_by_value() -> None:
    plain = step(2**40)
    counts = tuple(None if count is None else np.int64(count) for count in (7, None, 2**63 - 1, -1, 3, 2**62, 0, 1))
    numpy_step = plain | {"step": np.int64(2**40), "counts": counts}
    python_step = plain | {"counts": (7, None, 2**63 - 1, -1, 3, 2**62, 0, 1)}
    encoder = StepSyncEncoder(IDENTITY)
    assert encoder.encode(**numpy_step) == encoder.encode(**python_step)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"buckets": np.zeros((7, 3), np.float32)}, r"\(8, n\)"),
        ({"buckets": np.zeros(8, np.float32)}, r"\(8, n\)"),
        ({"floats": (0.0,) * 12}, "13"),
        ({"counts": (0,) * 7}, "8"),
        ({"counts": (None,) * 8}, "nonfinite"),
        ({"counts": (0, 2**63, *[None] * 6)}, "64 bits"),
        ({"step": 2**63}, "64 bits"),
        ({"ended_at_micros": -(2**63) - 1}, "64 bits"),
    ],
)
def test_part_of_another_shape_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StepSyncEncoder(IDENTITY).encode(**step() | change)


def test_identity_beyond_32_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bits"):
        StepSyncEncoder(StepIdentity("bert", 0, 2**31, "node-a"))


def test_field_names_are_the_schemas_in_its_order() -> None:
    names = [field["name"] for field in registry().latest("StepSync").parsed["fields"]]
    assert tuple(names[10:18]) == COUNT_FIELDS
    assert tuple(names[18:31]) == FLOAT_FIELDS
    assert tuple(names[31:]) == BUCKET_FIELDS


def test_codec_refuses_a_schema_that_it_was_not_written_for() -> None:
    fields = registry().latest("StepSync").parsed["fields"]
    with pytest.raises(SchemaError, match="energy_joules"):
        check_schema({"fields": [*fields, {"name": "energy_joules"}]})
    with pytest.raises(SchemaError, match="the order"):
        check_schema({"fields": [fields[1], fields[0], *fields[2:]]})
