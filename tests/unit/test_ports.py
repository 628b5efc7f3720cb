"""Ports: free ones are free, taken ones say by whom."""

import os
import socket

import pytest

from gradcube.errors import ConfigError
from gradcube.ports import FIRST_PORT, LAST_PORT, choose_port, free_port, is_free, owner_of, require_free


def test_free_port_can_be_listened_on_and_is_below_the_outgoing_range() -> None:
    port = free_port()
    assert FIRST_PORT <= port <= LAST_PORT
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)


def test_taken_port_names_its_owner() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        owner = rf"broker port 127.0.0.1:{port} is taken by .* \(pid {os.getpid()}\)"
        with pytest.raises(ConfigError, match=owner) as error:
            require_free(port, "broker")
        assert "another port" in str(error.value)
    require_free(port, "broker")


def test_preferred_port_is_used_when_free() -> None:
    free = choose_port()
    assert choose_port(free) == free


def test_another_port_is_used_when_the_preferred_one_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert choose_port(port) not in {0, port}


def test_owner_of_a_taken_port_is_named_with_its_pid() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert f"pid {os.getpid()}" in str(owner_of(taken.getsockname()[1]))
    assert owner_of(choose_port()) is None
