import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import sqlalchemy as sa

from gradcube.clients.kylin_json import Column
from gradcube.clients.sqla import KylinCompatDialect
from gradcube.clients.sqla.reflection import type_of

FACTS = sa.table("facts", sa.column("job"), sa.column("value"), sa.column("Mixed"))


def compiled(statement: sa.Select[tuple[object, ...]]) -> str:
    return " ".join(str(statement.compile(dialect=KylinCompatDialect())).split())


def test_pyproject_declares_the_dialect() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    module, _, name = project["entry-points"]["sqlalchemy.dialects"]["kylin.compat"].partition(":")
    assert getattr(import_module(module), name) is KylinCompatDialect


def test_reserved_mixed_case_and_underscored_names_are_quoted() -> None:
    statement = sa.select(FACTS.c.job.label("__timestamp"), FACTS.c.value, FACTS.c.Mixed)
    assert compiled(statement) == 'SELECT facts.job AS "__timestamp", facts."value", facts."Mixed" FROM facts'


def test_limit_and_offset_stand_alone() -> None:
    statement = sa.select(FACTS.c.job)
    assert compiled(statement.offset(3)).endswith("FROM facts OFFSET ?")
    assert compiled(statement.limit(2)).endswith("FROM facts LIMIT ?")
    assert compiled(statement.limit(2).offset(3)).endswith("FROM facts LIMIT ? OFFSET ?")


def test_casts_name_kylin_s_types() -> None:
    kinds = (sa.DateTime, sa.TIMESTAMP, sa.Text, sa.String, sa.Boolean, sa.Date, sa.BigInteger, sa.Numeric(19, 4))
    texts = [compiled(sa.select(sa.cast(FACTS.c.job, kind))).split(" AS ")[1].split(")")[0] for kind in kinds]
    assert texts == ["TIMESTAMP", "TIMESTAMP", "VARCHAR", "VARCHAR", "BOOLEAN", "DATE", "BIGINT", "NUMERIC(19, 4"]


@pytest.mark.parametrize("name", ["TINYINT", "BIGINT", "DOUBLE", "DATE", "TIMESTAMP", "BOOLEAN", "VARCHAR", "CHAR"])
def test_every_type_of_kylin_s_is_reflected(name: str) -> None:
    assert not isinstance(type_of(Column("C", name, 8)), sa.types.NullType)


def test_unknown_type_is_null_type_and_decimal_keeps_its_scale() -> None:
    assert isinstance(type_of(Column("C", "GEOMETRY")), sa.types.NullType)
    kept = type_of(Column("C", "DECIMAL", 19, 4))
    assert (kept.precision, kept.scale) == (19, 4)


@pytest.mark.parametrize("url", ["kylin+compat://host/", "kylin+compat://host/p?nope=1", "kylin+compat://host/a/b"])
def test_bad_url_is_an_argument_error(url: str) -> None:
    with pytest.raises(sa.exc.ArgumentError):
        KylinCompatDialect().create_connect_args(sa.make_url(url))
