import numpy as np
import pytest
from tests.unit.metrics.making import step_record

from gradcube.errors import UnknownSchemaId
from gradcube.events import encode, frame
from gradcube_metrics.decode import reduce_evaluations, reduce_resources, reduce_servers, reduce_steps
from gradcube_metrics.partials import decode_partial, encode_partial


def test_a_batch_becomes_one_partial_a_job_with_its_offsets() -> None:
    records = [
        step_record(job, 0, step, offset=100 + at) for at, (job, step) in enumerate([("b", 0), ("a", 0), ("b", 1)])
    ]
    reduced = reduce_steps(records, partition=7)
    assert [(partial.job, partial.source) for partial in reduced.partials] == [
        ("a", ("gradcube.steps", 7)),
        ("b", ("gradcube.steps", 7)),
    ]
    assert reduced.partials[1].rows.offset.tolist() == [100, 102]
    assert reduced.partials[1].rows.appended_at_micros.tolist() == [records[at].timestamp * 1000 for at in (0, 2)]


def test_an_unreadable_record_costs_only_itself() -> None:
    records = [step_record("a", 0, step, offset=step) for step in range(5)]
    records[1].value = frame(999, b"?")
    records[3].value = None
    reduced = reduce_steps(records, partition=0)
    assert [each.index for each in reduced.bad] == [1, 3]
    assert isinstance(reduced.bad[0].error, UnknownSchemaId)
    assert reduced.partials[0].rows.offset.tolist() == [0, 2, 4]
    assert reduced.partials[0].rows.step.tolist() == [0, 2, 4]


def test_samples_of_a_node_without_a_job_are_kept_under_no_name(resource: dict[str, object]) -> None:
    raw = step_record("a", 0, 0, offset=3)
    raw.value = encode("ResourceSample", resource)
    [partial] = reduce_resources([raw], partition=1).partials
    assert (partial.job, partial.source, partial.rows.offset.tolist()) == ("", ("gradcube.resources", 1), [3])
    assert partial.rows.rank.tolist() == [-1]
    assert np.isnan(partial.rows.floats).any()


def test_evaluations_become_a_partial_of_their_job_that_survives_the_wire() -> None:
    raw = step_record("a", 0, 0, offset=3)
    record = {"job": "bert", "attempt": 1, "step": 90, "ended_at": 5_000_000, "dataset": "squad", "metric": "f1"}
    raw.value = encode("Evaluation", {**record, "value": 0.75, "samples": 40})
    [partial] = reduce_evaluations([raw], partition=0).partials
    back = decode_partial(encode_partial(partial))
    assert (back.job, back.source) == ("bert", ("gradcube.evaluations", 0))
    assert (back.rows.dataset.tolist(), back.rows.metric.tolist(), back.rows.value.tolist()) == (
        ["squad"],
        ["f1"],
        [0.75],
    )


@pytest.mark.parametrize("reducer", [reduce_resources, reduce_servers, reduce_evaluations])
def test_a_record_of_another_schema_is_set_aside(reducer: object) -> None:
    reduced = reducer([step_record("a", 0, 0, offset=0)], 0)
    assert not reduced.partials
    assert "belongs" in str(reduced.bad[0].error)


@pytest.fixture
def resource() -> dict[str, object]:
    import json

    from gradcube.events.registry import schemas_dir

    fields = json.loads((schemas_dir() / "events/ResourceSample.avsc").read_text())["fields"]
    values = {"node": "n1", "device": "host", "sampled_at": 1}
    return {field["name"]: values.get(field["name"], field.get("default")) for field in fields}
