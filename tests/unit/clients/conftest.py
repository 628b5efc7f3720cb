from collections.abc import Iterator

import pytest
from tests.unit.clients.tiny_gateway import TinyGateway, tables


@pytest.fixture
def tiny() -> Iterator[TinyGateway]:
    gateway = TinyGateway()
    gateway.answers["/kylin/api/tables_and_columns"] = lambda _: tables()
    yield gateway
    gateway.close()
