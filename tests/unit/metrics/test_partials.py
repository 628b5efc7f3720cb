import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.metrics.making import step_record

from gradcube.errors import SchemaError
from gradcube.events import decode, encode
from gradcube_metrics.decode import reduce_steps
from gradcube_metrics.partials import decode_partial, encode_partial


@given(jobs=st.lists(st.sampled_from(["job", "läufer", "訓練"]), min_size=1, max_size=5), first=st.integers(0, 1 << 40))
def test_a_partial_survives_the_wire(jobs: list[str], first: int) -> None:
    records = [step_record(job, at, at, offset=first + at) for at, job in enumerate(jobs)]
    for partial in reduce_steps(records, 3).partials:
        back = decode_partial(encode_partial(partial))
        assert (back.job, back.source) == (partial.job, partial.source)
        for name in partial.rows.DTYPES:
            np.testing.assert_array_equal(getattr(back.rows, name), getattr(partial.rows, name))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source_topic": "gradcube.other"}, "no partial of"),
        ({"count": 3}, "for 3 values"),
    ],
)
def test_a_partial_that_contradicts_itself_is_refused(change: dict[str, object], message: str) -> None:
    [partial] = reduce_steps([step_record("a", 0, 0, offset=0)], 0).partials
    record = decode(encode_partial(partial))[1] | change
    with pytest.raises(SchemaError, match=message):
        decode_partial(encode("Partial", record))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"dtype": "O"}, "has dtype 'O'"),
        ({"data": b"\x00" * 7}, "7 bytes"),
        ({"dtype": "utf8", "data": b"\x09\x00\x00\x00ab"}, "beyond its 6 bytes"),
        ({"dtype": "utf8", "data": b"\x01\x00\x00\x00\xff"}, "not UTF-8"),
        ({"dtype": "utf8", "data": b""}, "0 texts for 4 values"),
        ({"name": "another rank stage replica"}, "'attempt' is missing"),
        ({"name": "attempt rank"}, "16 bytes for 1 values"),
    ],
)
def test_a_broken_column_is_named(column: dict[str, object], message: str) -> None:
    [partial] = reduce_steps([step_record("a", 0, 0, offset=0)], 0).partials
    record = decode(encode_partial(partial))[1]
    record["columns"][0] |= column
    with pytest.raises(SchemaError, match=message):
        decode_partial(encode("Partial", record))
