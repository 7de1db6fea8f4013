"""Counters and registers by index, and packets between the controller and the pipeline."""

from __future__ import annotations

import pytest
from finsy.proto import stratum
from hypothesis import given
from hypothesis import strategies as st

from p4base.lookup import P4InfoIndex
from p4base.messages import p4r
from p4switch.service.arbitration import Client
from p4switch.service.errors import Code, P4Error
from p4switch.service.memory import MemoryDataplane
from p4switch.service.packet_io import PACKET_IN, PACKET_OUT, controller_header
from tests.p4switch.harness import Harness, arbitration, received
from tests.p4switch.programs import COUNTER_ID, COUNTER_SIZE, REGISTER_ID, REGISTER_SIZE, make_p4info, number
from tests.p4switch.test_table_entry import refusal

INDEX = P4InfoIndex(make_p4info())


def counter(index: int | None = None, packets: int | None = None) -> p4r.Entity:
    entity = p4r.Entity()
    entity.counter_entry.counter_id = COUNTER_ID
    if index is not None:
        entity.counter_entry.index.index = index
    if packets is not None:
        entity.counter_entry.data.packet_count = packets
    return entity


def register(name: str = "register", index: int | None = None, data: bytes | None = None) -> p4r.Entity:
    entity = p4r.Entity()
    entity.register_entry.register_id = REGISTER_ID[name]
    if index is not None:
        entity.register_entry.index.index = index
    if data is not None:
        entity.register_entry.data.bitstring = data
    return entity


def test_counters(switch: Harness) -> None:
    switch.modify(counter(packets=7))
    switch.modify(counter(2, packets=9))
    cells = switch.read(p4r.Entity(counter_entry=p4r.CounterEntry()))
    assert cells == [counter(i, 9 if i == 2 else 7) for i in range(COUNTER_SIZE)]
    assert switch.read(counter(2)) == [counter(2, 9)]
    switch.modify(counter(2))  # no data: nothing changes
    assert switch.read(counter(2)) == [counter(2, 9)]
    assert refusal(lambda: switch.modify(counter(COUNTER_SIZE, 1)))[0] == Code.OUT_OF_RANGE
    assert refusal(lambda: switch.modify(counter(-1, 1)))[0] == Code.INVALID_ARGUMENT
    assert refusal(lambda: switch.insert(counter(1, 1)))[0] == Code.INVALID_ARGUMENT
    assert refusal(lambda: switch.delete(counter(1, 1)))[0] == Code.INVALID_ARGUMENT


def test_registers(switch: Harness) -> None:
    switch.modify(register(data=b"\x00\x05"))
    switch.modify(register(index=1, data=b"\xff\xff\xff"))
    cells = switch.read(register())
    assert cells == [register(index=i, data=b"\xff\xff\xff" if i == 1 else b"\x05") for i in range(REGISTER_SIZE)]
    assert refusal(lambda: switch.modify(register(index=1, data=b"\x01\0\0\0")))[0] == Code.OUT_OF_RANGE
    assert refusal(lambda: switch.modify(register(index=1, data=b"")))[0] == Code.OUT_OF_RANGE
    assert refusal(lambda: switch.modify(register(index=REGISTER_SIZE, data=b"\0")))[0] == Code.OUT_OF_RANGE
    wrong = register(index=1)
    wrong.register_entry.data.bool = True
    assert refusal(lambda: switch.modify(wrong))[0] == Code.INVALID_ARGUMENT


@pytest.mark.parametrize(("data", "value"), [(b"\xff", 0xFFF), (b"\xfd\x1d", 0xD1D), (b"\x05", 5), (b"\x00", 0)])
def test_signed_registers_are_twos_complement(switch: Harness, data: bytes, value: int) -> None:
    switch.modify(register("signed_register", 0, data))
    assert switch.dataplane.read_register("ingress.signed_register", 0) == [value]
    assert switch.read(register("signed_register", 0)) == [register("signed_register", 0, data)]


# -- packets


@pytest.fixture
def memory_switch() -> Harness:
    """Over the data plane in memory, which can tell what it was sent."""
    return Harness()


def dataplane_of(switch: Harness) -> MemoryDataplane:
    assert isinstance(switch.dataplane, MemoryDataplane)
    return switch.dataplane


def packet_out(port: bytes = b"\x01\xfe", payload: bytes = b"payload") -> p4r.StreamMessageRequest:
    request = p4r.StreamMessageRequest()
    request.packet.payload = payload
    request.packet.metadata.add(metadata_id=1, value=port)
    return request


def test_packet_out_is_packed_before_the_payload(memory_switch: Harness) -> None:
    memory_switch.device.stream_message(memory_switch.client, packet_out())
    assert dataplane_of(memory_switch).packets_out == [bytes([0xFF, 0x00]) + b"payload"], (
        "0x1fe in nine bits, then seven of padding"
    )
    assert received(memory_switch.client) == []


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda p: p.metadata.pop(), "(egress_port) is missing"),
        (lambda p: p.metadata.add(metadata_id=9, value=b"\0"), "metadata 9 is unknown"),
        (lambda p: p.metadata.append(p.metadata[0]), "given twice"),
        (lambda p: setattr(p.metadata[0], "value", b"\x02\x00"), "9 bits"),
    ],
)
def test_bad_packet_out_is_dropped_and_reported(memory_switch: Harness, edit: object, words: str) -> None:
    request = packet_out()
    edit(request.packet)  # type: ignore[operator]
    memory_switch.device.stream_message(memory_switch.client, request)
    (message,) = received(memory_switch.client)
    assert message.error.canonical_code == Code.INVALID_ARGUMENT
    assert words in message.error.message
    assert message.error.packet_out.packet_out == request.packet
    assert dataplane_of(memory_switch).packets_out == []


def test_only_the_primary_sends_and_receives_packets(memory_switch: Harness) -> None:
    backup = Client()
    memory_switch.device.stream_message(backup, arbitration(1))
    received(backup)
    memory_switch.device.stream_message(backup, packet_out())
    (message,) = received(backup)
    assert message.error.canonical_code == Code.PERMISSION_DENIED
    assert dataplane_of(memory_switch).packets_out == []
    handler = dataplane_of(memory_switch).packet_in_handler
    assert handler is not None
    handler(bytes.fromhex("ff8091 00") + b"data")
    (message,) = received(memory_switch.client)
    assert message.packet.payload == b"data"
    assert [(m.metadata_id, m.value) for m in message.packet.metadata] == [
        (1, b"\x01\xff"),
        (2, b"\x01\x22"),
        (3, b"\0"),
    ]
    assert received(backup) == []
    handler(b"abc")  # shorter than the header: nothing to tell, nothing breaks
    assert received(memory_switch.client) == []


def test_packet_in_goes_to_every_role_that_may_see_it(memory_switch: Harness) -> None:
    wants_7, wants_none = Client(), Client()
    for client, role, config in (
        (wants_7, "seven", stratum.P4RoleConfig(receives_packet_ins=True)),
        (wants_none, "none", stratum.P4RoleConfig()),
    ):
        if role == "seven":
            config.packet_in_filter.metadata_id = 1
            config.packet_in_filter.value = b"\x07"
        request = arbitration(1, role)
        request.arbitration.role.config.Pack(config)
        memory_switch.device.stream_message(client, request)
        received(client)
    handler = dataplane_of(memory_switch).packet_in_handler
    assert handler is not None
    for port in (7, 8):
        handler((port << 23).to_bytes(4, "big") + b"x")
    assert [len(received(c)) for c in (memory_switch.client, wants_7, wants_none)] == [2, 1, 0]


def test_digest_acknowledgement_is_answered_with_an_error(memory_switch: Harness) -> None:
    request = p4r.StreamMessageRequest()
    request.digest_ack.digest_id = 5
    memory_switch.device.stream_message(memory_switch.client, request)
    (message,) = received(memory_switch.client)
    assert message.error.digest_list_ack.digest_list_ack.digest_id == 5


@given(st.integers(0, 511), st.integers(0, 65535), st.binary(max_size=20))
def test_packet_in_header_decodes_what_the_deparser_emits(port: int, reason: int, payload: bytes) -> None:
    header = controller_header(INDEX, PACKET_IN, {}, {})
    packet = header.decode((port << 23 | reason << 7).to_bytes(4, "big") + payload)
    assert [m.value for m in packet.metadata] == [number(port), number(reason), b"\0"]
    assert packet.payload == payload


@given(st.integers(0, 511), st.binary(max_size=20))
def test_packet_out_header_encodes_what_the_parser_expects(port: int, payload: bytes) -> None:
    packet = p4r.PacketOut(payload=payload, metadata=[p4r.PacketMetadata(metadata_id=1, value=b"\0" + number(port))])
    assert controller_header(INDEX, PACKET_OUT, {}, {}).encode(packet) == (port << 7).to_bytes(2, "big") + payload


def test_short_packet_in() -> None:
    with pytest.raises(P4Error, match="lacks its header"):
        controller_header(INDEX, PACKET_IN, {}, {}).decode(b"\0\0\0")


def test_role_limits_writes_and_reads(memory_switch: Harness) -> None:
    client = Client()
    request = arbitration(1, "counting")
    request.arbitration.role.config.Pack(stratum.P4RoleConfig(exclusive_p4_ids=[COUNTER_ID]))
    memory_switch.device.stream_message(client, request)
    write = memory_switch.write_request([(p4r.Update.MODIFY, counter(0, 1)), (p4r.Update.MODIFY, register(data=b"\1"))])
    write.role, write.election_id.low = "counting", 1
    with pytest.raises(P4Error, match="PERMISSION_DENIED: register_entry"):
        memory_switch.device.write(write)
    assert len(memory_switch.read(p4r.Entity(counter_entry=p4r.CounterEntry()), role="counting")) == COUNTER_SIZE
    assert memory_switch.read(p4r.Entity(register_entry=p4r.RegisterEntry()), role="counting") == []
    with pytest.raises(P4Error, match="PERMISSION_DENIED"):
        memory_switch.read(register(), role="counting")
