"""Thrift's binary protocol: what is written is read, and nonsense ends a connection, not the switch."""

from __future__ import annotations

import io
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4switch.thrift import protocol
from p4switch.thrift.client import ThriftClient
from p4switch.thrift.connection import ThriftServer
from p4switch.thrift.protocol import (
    BINARY,
    BOOL,
    DOUBLE,
    I16,
    I32,
    I64,
    STRING,
    ApplicationError,
    ListOf,
    MapOf,
    ProtocolError,
    Reader,
)
from p4switch.thrift.services import (
    STANDARD,
    AddEntryOptions,
    InvalidTableOperation,
    MatchParam,
    MatchType,
    MtEntry,
    TableError,
    TernaryParam,
)

VALUES = [
    (BOOL, st.booleans()),
    (I16, st.integers(-(2**15), 2**15 - 1)),
    (I32, st.integers(-(2**31), 2**31 - 1)),
    (I64, st.integers(-(2**63), 2**63 - 1)),
    (DOUBLE, st.floats(allow_nan=False)),
    (STRING, st.text(max_size=20)),
    (BINARY, st.binary(max_size=40)),
    (ListOf(ListOf(I16)), st.lists(st.lists(st.integers(-5, 5), max_size=4), max_size=4)),
    (MapOf(STRING, I32), st.dictionaries(st.text(max_size=5), st.integers(0, 9), max_size=4)),
]


@given(st.sampled_from(VALUES).flatmap(lambda pair: st.tuples(st.just(pair[0]), pair[1])))
def test_what_is_written_is_read_and_can_be_passed_over(pair: tuple[Any, Any]) -> None:
    kind, value = pair
    out = bytearray()
    kind.write(out, value)
    assert kind.read(Reader(io.BytesIO(out))) == value
    reader = Reader(io.BytesIO(bytes(out) + b"!"))
    reader.skip(kind.code)
    assert reader.take(1) == b"!"


def test_a_call_on_the_wire() -> None:
    """The bytes that Apache Thrift's libraries send for it."""
    message = protocol.call_message("standard", STANDARD["bm_mt_get_num_entries"], 1, [0, "t"])
    assert message.hex() == (
        "80010001" "0000001e" + b"standard:bm_mt_get_num_entries".hex() + "00000001"
        "08000100000000" "0b00020000000174" "00"
    )  # fmt: skip


@given(st.binary(max_size=80))
def test_nonsense_is_a_protocol_error(data: bytes) -> None:
    reader = Reader(io.BytesIO(data))
    try:
        protocol.read_head(reader)
        protocol.read_fields(reader, STANDARD["bm_mt_add_entry"].arguments)
    except ProtocolError:
        pass


class Handler:
    def bm_mt_get_entries(self, table_name: str) -> list[MtEntry]:
        if table_name != "t":
            raise InvalidTableOperation(TableError.INVALID_TABLE_NAME)
        key = [MatchParam(MatchType.TERNARY, ternary=TernaryParam(b"\1", b"\xff"))]
        return [MtEntry(key, AddEntryOptions(-1), 7)]

    def bm_mt_get_num_entries(self, table_name: str) -> int:
        raise ValueError("a bug")


def test_calls_errors_and_hostile_clients() -> None:
    server = ThriftServer(("127.0.0.1", 0), {"standard": Handler()})
    server.start()
    try:
        hostile = socket.create_connection(("127.0.0.1", server.port))
        hostile.sendall(b"\x80\x01\x00\x01\xff\xff\xff\xff")
        assert hostile.recv(1) == b""
        hostile.close()
        client = ThriftClient("127.0.0.1", server.port, 10)
        (entry,) = client.call("standard", "bm_mt_get_entries", "t")
        assert (entry.match_key[0].ternary, entry.options.priority, entry.entry_handle, entry.life) == (
            TernaryParam(b"\1", b"\xff"),
            -1,
            7,
            None,
        )
        with pytest.raises(InvalidTableOperation, match="INVALID_TABLE_NAME"):
            client.call("standard", "bm_mt_get_entries", "u")
        with pytest.raises(ApplicationError, match="a bug"):
            client.call("standard", "bm_mt_get_num_entries", "t")
        with pytest.raises(ApplicationError, match="no call"):
            client.call("simple_switch", "get_time_elapsed_us")
        client.close()
    finally:
        server.stop()
