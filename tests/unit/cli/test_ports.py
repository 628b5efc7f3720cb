"""Ports: the preferred one when free, another when taken, and its owner's name."""

import os
import socket

from gradcube.cli.ports import choose_port, owner_of


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
