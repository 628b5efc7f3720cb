"""Values of a topic as rows: what is a fact, and what becomes of the rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.cube.facts import value

from gradcube.cube.columns import decode_facts
from gradcube.cube.model import CubeModel, load_cube

BAD = [
    b"junk", b"", None, b"[]", b"3", b"null", b"{}", b"\xff", b'{"TS":1}',
    value(1).replace(b'"SAMPLES":5', b'"SAMPLES":5.0'), value(1).replace(b'"SAMPLES":5', b'"SAMPLES":"5"'),
    value(1).replace(b'"SAMPLES":5', b'"SAMPLES":true'), value(1).replace(b'"SAMPLES":5', b'"SAMPLES":null'),
    value(1).replace(b'"SAMPLES":5', b'"SAMPLES":9223372036854775808'),
    value(1).replace(b'"ATTEMPT":1', b'"ATTEMPT":3000000000'),
    value(1).replace(b'"METRIC_MIN":0.0', b'"METRIC_MIN":1e999'),
    value(1).replace(b'"METRIC_MIN":0.0', b'"METRIC_MIN":NaN'),
    value(1).replace(b'"TS":1', b'"TS":-1'), value(1).replace(b'"TS":1', b'"TS":99999'), value(1, JOB="x" * 257),
    value(1)[:-1], value(1) + value(2),
]  # fmt: skip


@pytest.mark.parametrize("bad_value", BAD)
def test_bad_value_is_named_and_the_rest_of_the_batch_survives(model: CubeModel, bad_value: bytes | None) -> None:
    facts, bad = decode_facts([value(1), bad_value, value(2)], model)
    assert facts["METRIC_VALUE"].to_pylist() == [1.0, 2.0]
    assert [one.index for one in bad] == [1]


def test_null_dimension_stays_null_and_unknown_fields_are_ignored(model: CubeModel) -> None:
    odd = value(1).replace(b'"NODE":""', b'"NODE":null,"MORE":1').replace(b'"METRIC_SUM":2.0', b'"METRIC_SUM":2')
    facts, bad = decode_facts([odd], model)
    assert not bad
    assert (facts["NODE"].to_pylist(), facts["METRIC_SUM"].to_pylist()) == ([None], [2.0])


@given(st.lists(st.binary(max_size=40) | st.sampled_from([value(1), value(2)]), max_size=8))
def test_any_bytes_are_good_or_bad_and_never_an_exception(values: list[bytes]) -> None:
    facts, bad = decode_facts(values, load_cube())
    assert facts.num_rows + len(bad) == len(values)
