from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.cube.facts import value

from gradcube.cube.columns import decode_facts
from gradcube.cube.engine import Engine
from gradcube.cube.model import CubeModel, load_cube
from gradcube.errors import ConfigError

PLACE = ("gradcube.facts", 0)


def test_repeated_key_is_counted_and_not_written_again(engine: Engine, model: CubeModel) -> None:
    facts, _ = decode_facts([value(99), value(100), value(100, METRIC_VALUE=7.0)], model)
    written = engine.write(facts, {PLACE: 103})
    assert (written.rows, written.duplicates) == (1, 2)
    assert (engine.rows(), engine.counters()["duplicate_fact_ids"]) == (101, 2)
    read = engine.cursor().execute('SELECT METRIC_VALUE FROM "DEFAULT".FACTS ORDER BY TS DESC LIMIT 1').fetchone()
    assert read == (100.0,)  # the first one counts


def test_rows_offsets_and_counters_come_back_after_opening_again(tmp_path: Path, model: CubeModel) -> None:
    path = tmp_path / "deep" / "facts.duckdb"
    engine = Engine(model, path)
    facts, _ = decode_facts([value(1), value(2)], model)
    engine.write(facts, {PLACE: 2, ("gradcube.facts", 3): 9}, {"bad_records": 4})
    engine.close()
    again = Engine(model, path)
    assert again.rows() == 2
    assert again.offsets() == {PLACE: 2, ("gradcube.facts", 3): 9}
    assert (again.counters()["facts"], again.counters()["bad_records"]) == (2, 4)
    again.close()


def test_failed_write_leaves_nothing_behind(engine: Engine, model: CubeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    facts, _ = decode_facts([value(200)], model)
    with monkeypatch.context() as patch:
        patch.setattr(engine, "_note", lambda *_: (_ for _ in ()).throw(duckdb.IOException("full")))
        with pytest.raises(duckdb.Error):
            engine.write(facts, {PLACE: 500})
    assert (engine.rows(), engine.offsets()[PLACE]) == (100, 100)
    assert engine.write(facts, {PLACE: 101}).rows == 1


@pytest.mark.parametrize(
    "sql",
    ["SET threads = 4", "COPY (SELECT 1) TO '/tmp/gradcube-never'", "SELECT * FROM read_text('/etc/passwd')",
     "ATTACH '/tmp/gradcube-never.db'", "INSTALL httpfs", "SET enable_external_access = true"],
)  # fmt: skip
def test_engine_is_locked_even_without_the_guard(engine: Engine, sql: str) -> None:
    with pytest.raises(duckdb.Error):
        engine.cursor().execute(sql)


def test_database_of_another_cube_is_refused(tmp_path: Path, model: CubeModel) -> None:
    path = tmp_path / "facts.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute('CREATE SCHEMA "DEFAULT"')
        connection.execute('CREATE TABLE "DEFAULT".FACTS (A INTEGER)')
    with pytest.raises(ConfigError, match="other columns"):
        Engine(model, path)


def test_file_that_is_no_database_is_refused(tmp_path: Path, model: CubeModel) -> None:
    path = tmp_path / "facts.duckdb"
    path.write_bytes(b"x" * 20_000)
    with pytest.raises(ConfigError, match="cannot be opened"):
        Engine(model, path)


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
