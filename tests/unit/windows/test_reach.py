"""What the agents reach, from a sample's entries to facts of nodes and jobs."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.windows.making import START, facts_of, make_resources, one, value

from gradcube.events import decode, encode, registry
from gradcube.windows.reach import DEPENDENCIES, REACH_FLOATS, reach_floats
from gradcube.windows.rows import ResourceRows

SECONDS = st.none() | st.floats(0, 10, width=32)
ENTRIES = st.lists(
    st.fixed_dictionaries(
        {"dependency": st.sampled_from(["BROKER", "SERVER", "STORE", "GATEWAY", "OTHER"]), "seconds": SECONDS}
    )
)


def entry(dependency: str, seconds: float | None, name: str = "a:1") -> dict[str, Any]:
    return {"dependency": dependency, "name": name, "seconds": seconds}


def of(floats: list[float]) -> dict[str, float]:
    return dict(zip(REACH_FLOATS, floats, strict=True))


def test_every_dependency_of_the_schema_has_its_columns() -> None:
    fields = {field["name"]: field["type"] for field in registry().latest("ResourceSample").parsed["fields"]}
    kind = fields["reach"]["items"]["fields"][0]["type"]
    assert [symbol.lower() for symbol in kind["symbols"]] == [*DEPENDENCIES, "other"]


def test_seconds_are_the_slowest_of_those_reached_and_the_ratio_is_of_all() -> None:
    found = of(reach_floats([entry("BROKER", 0.25), entry("BROKER", None), entry("BROKER", 0.5), entry("STORE", None)]))
    assert (found["broker_reach_seconds"], found["broker_reachable_ratio"]) == (0.5, pytest.approx(2 / 3))
    assert np.isnan(found["store_reach_seconds"])
    assert found["store_reachable_ratio"] == 0.0
    assert np.isnan(found["gateway_reachable_ratio"]), "what nobody looked for is not unreachable"


@given(ENTRIES)
def test_no_reach_is_below_its_fastest_and_no_ratio_above_1(entries: list[dict[str, Any]]) -> None:
    found = of(reach_floats(entries))
    for name in DEPENDENCIES:
        seconds = [each["seconds"] for each in entries if each["dependency"] == name.upper()]
        ratio, slowest = found[f"{name}_reachable_ratio"], found[f"{name}_reach_seconds"]
        assert np.isnan(ratio) == (not seconds)
        assert np.isnan(slowest) == (not any(each is not None for each in seconds))
        if seconds:
            assert ratio * len(seconds) == pytest.approx(sum(each is not None for each in seconds))


def test_a_node_has_the_mean_over_its_rounds_and_samples_in_between_do_not_count() -> None:
    facts = facts_of(
        make_resources(
            [1, 2, 3], broker_reach_seconds=[0.25, np.nan, 0.75], broker_reachable_ratio=[1.0, np.nan, 0.5],
            cpu_utilization_ratio=0.5,
        )
    )  # fmt: skip
    seconds = one(facts, "broker_reach_seconds", "node")
    assert (seconds["METRIC_VALUE"], seconds["METRIC_MAX"], seconds["SAMPLES"]) == (0.5, 0.75, 2)
    assert (seconds["FAMILY"], value(facts, "broker_reachable_ratio", "node")) == ("dependency", 0.75)
    assert "store_reachable_ratio" not in {fact["METRIC"] for fact in facts}


def test_a_job_has_what_the_nodes_of_its_ranks_found_and_a_rank_has_nothing_of_its_own() -> None:
    facts = facts_of(
        make_resources([1], rank=0, node="a", server_reach_seconds=0.25, server_reachable_ratio=1.0),
        make_resources([1], rank=1, node="b", server_reachable_ratio=0.0),
    )
    assert value(facts, "server_reachable_ratio") == 0.5
    assert one(facts, "server_reach_seconds")["SAMPLES"] == 1
    assert {f["SUBJECT_KIND"] for f in facts if f["METRIC"].startswith("server_reach")} == {"job"}


def test_a_sample_on_the_wire_becomes_a_row() -> None:
    sample = {"node": "a", "device": "host", "sampled_at": START, "reach": [entry("GATEWAY", 0.125)]}
    record = decode(encode("ResourceSample", sample))[1]
    rows = ResourceRows.from_records("", [record], np.array([0]), np.array([START]))
    assert value(facts_of(rows), "gateway_reach_seconds", "node") == 0.125
