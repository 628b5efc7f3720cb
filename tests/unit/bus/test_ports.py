"""Ports: free ones are free, taken ones say by whom."""

import os
import socket

import pytest

from gradcube.bus.ports import FIRST_PORT, LAST_PORT, free_port, is_free, require_free
from gradcube.errors import ConfigError


def test_free_port_can_be_listened_on_and_is_below_the_outgoing_range() -> None:
    port = free_port()
    assert FIRST_PORT <= port <= LAST_PORT
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)


def test_taken_port_names_its_owner() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(
            ConfigError, match=rf"broker port 127.0.0.1:{port} is taken by pid {os.getpid()} \("
        ) as error:
            require_free(port, "broker")
        assert "another port" in str(error.value)
    require_free(port, "broker")
