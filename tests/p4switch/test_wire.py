"""The hand-written wire format against the generated classes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4base.messages import p4r
from p4switch.dataplane import Counter
from p4switch.service import wire
from p4switch.service.meters import counter_to_wire


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_counter_data(packets: int, octets: int) -> None:
    expected = p4r.CounterData(packet_count=packets, byte_count=octets)
    assert p4r.CounterData.FromString(counter_to_wire(Counter(packets, octets))) == expected


@given(st.integers(-(2**63), 2**63 - 1))
def test_varint_as_protobuf_writes_it(value: int) -> None:
    written = wire.varint_field(1, value)
    assert written == p4r.Index(index=value).SerializeToString()
    assert [v for _, v in wire.fields(written)] == ([value % 2**64] if value else [])


@given(st.binary(max_size=300), st.integers(0, 2**32 - 1))
def test_prefixes_enclose_a_value_of_any_length(value: bytes, param_id: int) -> None:
    prefixes = wire.bytes_prefixes(wire.varint_field(2, param_id), 3, 300, enclosing=(4,))
    expected = p4r.Action(params=[p4r.Action.Param(param_id=param_id, value=value)])
    written = prefixes[len(value)] + value
    assert p4r.Action.FromString(written) == expected


@given(st.binary(max_size=60))
def test_fields_of_anything_is_fields_or_an_error(data: bytes) -> None:
    try:
        list(wire.fields(data))
    except wire.WireError:
        return


@pytest.mark.parametrize(
    "data", [b"\x0a", b"\x0a\x05ab", b"\x08\xff", b"\x0b", b"\x02\x00", b"\x09\x01", b"\x08" + b"\xff" * 11]
)
def test_broken_messages(data: bytes) -> None:
    with pytest.raises(wire.WireError):
        list(wire.fields(data))
