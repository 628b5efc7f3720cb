import socket
import struct
from collections.abc import Iterator
from time import monotonic

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradcube.cube.sandbox.frames import MAX_HEADER_BYTES, Channel
from gradcube.errors import ProtocolError


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    ours, theirs = socket.socketpair()
    with theirs:
        channel = Channel(ours)
        yield channel, theirs
        channel.close()


def test_what_is_sent_is_received(ends: tuple[Channel, socket.socket]) -> None:
    channel, theirs = ends
    other = Channel(theirs)
    other.send({"kind": "batch", "rows": 3}, b"abc")
    other.send({"kind": "done"})
    assert channel.receive(3) == ({"kind": "batch", "rows": 3}, b"abc")
    assert channel.receive(3) == ({"kind": "done"}, b"")


@pytest.mark.parametrize("lengths", [(MAX_HEADER_BYTES + 1, 0), (2, 101), (2**32 - 1, 2**32 - 1)])
def test_claimed_length_is_refused_before_it_is_allocated(
    ends: tuple[Channel, socket.socket], lengths: tuple[int, int]
) -> None:
    channel, theirs = ends
    theirs.sendall(struct.pack("!II", *lengths))
    with pytest.raises(ProtocolError, match="more than allowed"):
        channel.receive(100)


@pytest.mark.parametrize("text", [b"{", b"[]", b"\xff", b"[" * 100_000])
def test_header_that_is_no_object_is_refused(ends: tuple[Channel, socket.socket], text: bytes) -> None:
    channel, theirs = ends
    theirs.sendall(struct.pack("!II", len(text), 0) + text)
    with pytest.raises(ProtocolError, match="header is not"):
        channel.receive(0)


def test_end_in_the_middle_of_a_frame_is_the_end(ends: tuple[Channel, socket.socket]) -> None:
    channel, theirs = ends
    theirs.sendall(struct.pack("!II", 10, 0) + b"{")
    theirs.close()
    with pytest.raises(EOFError):
        channel.receive(0)


def test_frame_that_trickles_past_the_deadline_is_given_up(ends: tuple[Channel, socket.socket]) -> None:
    channel, theirs = ends
    theirs.sendall(struct.pack("!II", 10, 0) + b"{")
    deadline = monotonic() + 0.05
    with pytest.raises(TimeoutError):
        channel.receive(0, lambda: deadline)


@given(st.binary(max_size=64))
@settings(max_examples=50, deadline=None)
def test_any_bytes_are_a_frame_or_an_error(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(data)
    channel = Channel(ours)
    try:
        header, body = channel.receive(16)
        assert isinstance(header, dict)
        assert len(body) <= 16
    except (EOFError, ProtocolError):
        pass
    finally:
        channel.close()
