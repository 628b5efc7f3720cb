import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcube.diagnosis import Evidence, Finding, Subject, finding_id, from_record, to_record
from gradcube.events import decode, encode

numbers = st.integers(0, 2**31 - 1)
subjects = st.builds(
    Subject,
    rank=st.none() | numbers, node=st.none() | st.text(), stage=st.none() | numbers, replica=st.none() | numbers,
    shard=st.none() | numbers, link=st.none() | st.text(),
)  # fmt: skip
finite = st.floats(allow_nan=False, allow_infinity=False)
findings = st.builds(
    Finding,
    id=st.text(), job=st.text(), attempt=numbers, kind=st.sampled_from(["STRAGGLER", "HANG"]),
    state=st.sampled_from(["OPENED", "UPDATED", "CLOSED"]), subject=subjects, onset_step=numbers,
    detected_step=numbers, end_step=st.none() | numbers, onset_at_micros=numbers, detected_at_micros=numbers,
    magnitude=finite, confidence=st.floats(0, 1),
    evidence=st.lists(st.builds(Evidence, st.text(), finite, st.none() | finite, st.text()), max_size=3).map(tuple),
    verdict=st.text(),
)  # fmt: skip


@given(findings)
def test_a_finding_survives_the_wire(finding: Finding) -> None:
    name, record = decode(encode("Finding", to_record(finding)))
    assert name == "Finding"
    assert from_record(record) == finding


def test_one_episode_is_one_id() -> None:
    wanted = finding_id("bert", 0, "STRAGGLER", Subject(rank=2, stage=1), 140)
    assert finding_id("bert", 0, "STRAGGLER", Subject(rank=2, stage=1, node="moved"), 140) == wanted
    others = [
        finding_id("gpt", 0, "STRAGGLER", Subject(rank=2, stage=1), 140),
        finding_id("bert", 1, "STRAGGLER", Subject(rank=2, stage=1), 140),
        finding_id("bert", 0, "HANG", Subject(rank=2, stage=1), 140),
        finding_id("bert", 0, "STRAGGLER", Subject(rank=3, stage=1), 140),
        finding_id("bert", 0, "STRAGGLER", Subject(rank=2, stage=1), 141),
    ]
    assert len({wanted, *others}) == 6


def test_findings_about_two_nodes_differ() -> None:
    ids = {finding_id("bert", 0, "THROTTLING", Subject(node=node), 1) for node in ("a", "b")}
    assert len(ids) == 2


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(TypeError):
        Subject(pod="x")  # type: ignore[call-arg]
