"""`kylin+compat://` against a real gateway: on the installed SQLAlchemy 2, and on 1.4 in Superset's environment."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.integration.cube import sqlalchemy_checks
from tests.integration.cube.foreign_clients import run_in_superset, write_entry_points
from tests.integration.cube.gateway_process import GatewayProcess


def url(gateway: GatewayProcess) -> str:
    return f"kylin+compat://ADMIN@127.0.0.1:{gateway.port}/gradcube"


@pytest.fixture
def engine(served: GatewayProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(write_entry_points(tmp_path)))
    engine = sa.create_engine(url(served), connect_args={"password_file": str(served.directory / "password")})
    yield engine
    engine.dispose()


@pytest.mark.parametrize("name", sqlalchemy_checks.CHECKS)
def test_on_sqlalchemy_2(engine: Any, name: str) -> None:
    assert sa.__version__.startswith("2.")
    sqlalchemy_checks.CHECKS[name](engine)


@pytest.fixture(scope="module")
def outcomes(served: GatewayProcess, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    script = Path(sqlalchemy_checks.__file__)
    arguments = [url(served), str(served.directory / "password")]
    output = run_in_superset(script, arguments, tmp_path_factory.mktemp("superset"))
    return {name: outcome for line in output.splitlines() for name, _, outcome in [line.partition(" ")]}


@pytest.mark.parametrize("name", sqlalchemy_checks.CHECKS)
def test_on_sqlalchemy_1_4(outcomes: dict[str, str], name: str) -> None:
    assert outcomes["sqlalchemy"].startswith("1.4.")
    assert outcomes[name] == "held"


@pytest.mark.parametrize(
    ("login", "port", "words"),
    [("ADMIN:canary", None, "Wrong user name or password"), ("ADMIN", 1, "did not answer")],
)
def test_refused_and_absent_server_is_an_operational_error(
    engine: Any, served: GatewayProcess, login: str, port: int | None, words: str
) -> None:
    other = sa.create_engine(f"kylin+compat://{login}@127.0.0.1:{port or served.port}/gradcube")
    with pytest.raises(sa.exc.OperationalError, match=words) as caught:
        sa.inspect(other).get_table_names()
    with pytest.raises(sa.exc.OperationalError, match=words), other.connect() as connection:
        connection.execute(sa.text("select 1"))
    assert "canary" not in str(caught.value)
    other.dispose()
