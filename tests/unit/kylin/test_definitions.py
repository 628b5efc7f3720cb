from dataclasses import replace

import pytest

from gradcube.cube.model import Filter, Retention, Source, load_catalog, load_cube
from gradcube.errors import ConfigError
from gradcube.kylin import definitions
from gradcube.kylin.definitions import Windows
from gradcube.kylin.mapping import field_mapping

FACTS = load_cube()


def test_every_column_is_in_the_table_with_kylins_type() -> None:
    told = definitions.table(FACTS, "FACTS_V1")
    kinds = {one["name"]: one["datatype"] for one in told["columns"]}
    assert (told["name"], told["source_type"]) == ("DEFAULT.FACTS_V1", 20)
    assert list(kinds) == [column.name for column in FACTS.columns]
    assert (kinds["TS"], kinds["DAY_START"], kinds["JOB"]) == ("timestamp", "date", "varchar(256)")
    assert (kinds["METRIC_VALUE"], kinds["SAMPLES"], kinds["ATTEMPT"]) == ("double", "bigint", "integer")


def test_key_is_no_dimension_and_the_partition_is_one() -> None:
    names = [column.name for column in definitions.dimensions(FACTS)]
    assert not {"FACT_ID", "METRIC_VALUE"} & set(names)
    assert {"TS", "MINUTE_START"} <= set(names)
    model = definitions.data_model(FACTS, "T", "m", "note")
    assert model["partition_desc"]["partition_date_column"].removeprefix("T.") in names
    assert model["description"] == "note"


def test_measures_are_the_declared_functions_and_each_is_stored_once() -> None:
    cube = definitions.cube(FACTS, "T", "m", "c", Windows())
    functions = {one["name"]: one["function"] for one in cube["measures"]}
    assert functions["ROWS_COUNT"]["expression"] == "COUNT"
    assert functions["METRIC_VALUE__PERCENTILE"]["returntype"] == "percentile(100)"
    assert functions["SAMPLES__SUM"]["returntype"] == "bigint"
    assert "METRIC_SUM__MAX" not in functions
    [family] = cube["hbase_mapping"]["column_family"]
    assert family["columns"][0]["measure_refs"] == list(functions)


def test_groups_are_kylins_aggregation_groups() -> None:
    cube = definitions.cube(FACTS, "T", "m", "c", Windows())
    assert len(cube["aggregation_groups"]) == len(FACTS.rollups)
    first, rollup = cube["aggregation_groups"][0], FACTS.rollups[0]
    assert first["includes"] == [f"T.{name}" for name in rollup.dimensions]
    assert first["select_rule"]["mandatory_dims"] == [f"T.{name}" for name in rollup.mandatory]
    [whole] = definitions.cube(replace(FACTS, rollups=()), "T", "m", "c", Windows())["aggregation_groups"]
    assert len(whole["includes"]) == len(definitions.dimensions(FACTS))


def test_receiver_holds_as_many_segments_as_the_days_have() -> None:
    short = replace(FACTS, retention=Retention(days=7))
    settings = definitions.cube(short, "T", "m", "c", Windows(segment_seconds=3600))["override_kylin_properties"]
    assert int(settings["kylin.stream.immutable.segments.max.num"]) >= 7 * 24
    assert settings["kylin.stream.segment.retention.policy.purge.retentionTimeInSec"] == str(7 * 86_400)
    assert settings["kylin.stream.consume.offsets.latest"] == "false"


def test_what_kylin_cannot_hold_is_said() -> None:
    reasons = {name: definitions.why_not(model) for name, model in load_catalog().cubes.items()}
    assert [name for name, reason in reasons.items() if reason is None] == ["FACTS", "RESOURCES"]
    assert {name for name, reason in reasons.items() if reason} == {"EVALUATIONS", "FINDINGS", "JOBS"}
    assert definitions.why_not(replace(FACTS, filters=(Filter("JOB", ("bert",)),))) == "it leaves out some records"
    assert "latest" in str(definitions.why_not(replace(FACTS, retention=Retention(latest=True))))
    with pytest.raises(ConfigError, match="cube FACTS cannot be in Kylin: its topic is JSON, but not flat"):
        definitions.stream(replace(FACTS, source=Source(words=(("JOB", "a", "b"),))), "T", "p", "b")


def test_resources_are_avro_whose_fields_become_rows() -> None:
    resources = load_catalog().cubes["RESOURCES"]
    told = definitions.stream(resources, "RESOURCES_V1", "p", "b")
    assert told["properties"]["message.parser"] == "gradcube.kylin.AvroRows"
    mapping = told["parser_info"]["field_mapping"]
    assert (mapping["TS"], mapping["$key"]) == ("sampled_at", "node/device/sampled_at/METRIC")
    assert mapping["$schema"] == "ResourceSample"
    name, value, *fields = mapping["$unpivot"].split("\n")
    assert (name, value, len(fields)) == ("METRIC", "METRIC_VALUE", 20)
    stores = [
        definitions.cube(one, "T", "m", "c", Windows())["override_kylin_properties"].get("kylin.stream.store.class")
        for one in (resources, FACTS)
    ]
    assert stores == ["gradcube.kylin.WholeRecords", None]


def test_all_that_a_declaration_says_of_a_record_is_in_the_mapping() -> None:
    jobs = field_mapping(load_catalog().cubes["JOBS"])
    assert jobs["$filter kind"] == "JOB_STARTED\nJOB_FINISHED"
    assert jobs["$when ENDED kind"] == "JOB_FINISHED"
    assert jobs["$word STATUS JOB_STARTED"] == "RUNNING"
    assert all(isinstance(value, str) for value in jobs.values())
