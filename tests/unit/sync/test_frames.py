"""Frames: what is packed parses; anything else is a ProtocolError, and the server goes on."""

import socket
import tracemalloc
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.sync.harness import Cluster, cluster, vector
from tests.waiting import wait_until

from gradcube.errors import ProtocolError
from gradcube.sync.frames import HEADER_BYTES, Header, Kind, check_crc, pack, parse

headers = st.builds(
    Header,
    kind=st.sampled_from(Kind),
    request=st.integers(0, 2**32 - 1),
    shard=st.integers(0, 9_999),
    epoch=st.integers(0, 2**63 - 1),
    version=st.integers(-1, 2**63 - 1),
    rank=st.integers(-1, 2**31 - 1),
    parameters=st.integers(0, 2**63 - 1),
    weight=st.floats(allow_nan=False),
    learning_rate=st.floats(allow_nan=False),
    staleness=st.integers(-(2**63), 2**63 - 1),
)


@given(headers, st.binary(max_size=64))
def test_what_is_packed_parses_to_the_same(header: Header, payload: bytes) -> None:
    raw = pack(header, memoryview(payload))
    found = parse(raw)
    check_crc(raw, found, memoryview(payload))
    assert replace(found, crc=0, length=0) == header
    assert found.length == len(payload)


@given(headers, st.binary(min_size=1, max_size=64), st.integers(0), st.integers(1, 255))
def test_every_changed_byte_is_noticed(header: Header, payload: bytes, place: int, change: int) -> None:
    frame = bytearray(pack(header, memoryview(payload)) + payload)
    frame[place % len(frame)] ^= change
    with pytest.raises(ProtocolError):
        check_crc(frame[:HEADER_BYTES], parse(frame[:HEADER_BYTES]), memoryview(frame)[HEADER_BYTES:])


@given(st.binary(max_size=2 * HEADER_BYTES))
def test_arbitrary_bytes_are_a_protocol_error_or_a_header(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse(raw)


def send_and_read(made: Cluster, raw: bytes) -> bytes:
    host, port = made.addresses[0].split(":")
    answer = b""
    # The server may close while bytes of ours are on the way: then there is nothing more to read.
    with socket.create_connection((host, int(port)), 5) as peer, suppress(OSError):
        peer.settimeout(5)
        peer.sendall(raw)
        peer.shutdown(socket.SHUT_WR)
        while piece := peer.recv(65_536):
            answer += piece
    return answer


def test_garbage_never_harms_the_server_or_its_other_clients() -> None:
    with cluster() as made, made.client(0) as good:
        good.initialize(vector(1))

        @settings(max_examples=60, deadline=None)
        @given(
            st.one_of(
                st.binary(min_size=1, max_size=300),
                st.builds(lambda h, p: pack(h, memoryview(b"")) + p, headers, st.binary(max_size=50)),
            )
        )
        def attack(raw: bytes) -> None:
            send_and_read(made, raw)

        attack()
        version, _ = good.get()
        assert good.push(vector(1), version=version, epoch=1, weight=1, learning_rate=0.5).version == version + 1
        assert made.servers[0].num_garbage > 0


def test_an_announced_length_is_refused_before_it_is_allocated() -> None:
    huge = Header(Kind.INITIALIZE, parameters=2**40, rank=0)
    with cluster() as made:
        tracemalloc.start()
        answer = send_and_read(made, pack(huge, memoryview(b"")))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert parse(answer[:HEADER_BYTES]).kind is Kind.REFUSED
    assert b"100000 allowed" in answer
    assert peak < 2**20


def test_a_push_of_another_size_is_refused_and_nothing_is_kept() -> None:
    with cluster() as made, made.client(0) as good:
        good.initialize(vector(1))
        gradient = bytes(4 << 20)
        bad = pack(Header(Kind.PUSH, parameters=1 << 20, rank=0, weight=1), memoryview(gradient)) + gradient
        assert b"the job has 103" in send_and_read(made, bad), "told also when it is still sending"
        assert good.push(vector(1), version=0, epoch=1, weight=1, learning_rate=0.5).version == 1


def test_a_client_that_dies_in_the_middle_of_a_frame_is_forgotten() -> None:
    with cluster() as made:
        send_and_read(made, pack(Header(Kind.GET), memoryview(b""))[:40])
        wait_until(lambda: made.servers[0].num_connections == 0, 5, "the connection is gone")
