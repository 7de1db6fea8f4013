"""`--dp-grpc-server-addr`: the same tests for simple_switch_grpc, where it is on the PATH, and for this switch."""

from __future__ import annotations

import queue
import shutil
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

from p4base.messages import p4r
from p4switch.endpoints.gate import Gate
from p4switch.native import NativeDataplane
from p4switch.service import dataplane_messages as messages
from p4switch.service.packet_stream import MAX_WAITING, Answers
from tests.p4switch.compiled import compiled, compiled_with_info
from tests.p4switch.differential.client import DEVICE_ID
from tests.p4switch.differential.sides import Bmv2, Side
from tests.p4switch.test_cli import probe

TIMEOUT_S = 60


@pytest.fixture(params=["kulvert switch", "simple_switch_grpc"])
def switch(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bmv2]:
    if request.param == "simple_switch_grpc":
        if shutil.which("simple_switch_grpc") is None:
            pytest.skip("simple_switch_grpc is not on the PATH")
        side = Bmv2(tmp_path)
    else:
        side = Bmv2(tmp_path, [sys.executable, "-m", "p4switch.main"])
    yield side
    side.close()


def configure(switch: Side, name: str) -> None:
    config, info = compiled_with_info(name)
    switch.configure(info, config)


class Stream:
    """A client of `PacketStream` that stays open until `finish`."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.call: Any = channel.stream_stream(
            f"/{messages.SERVICE}/PacketStream",
            request_serializer=messages.PacketStreamRequest.SerializeToString,
            response_deserializer=messages.PacketStreamResponse.FromString,
        )(iter(self._requests.get, None), wait_for_ready=True, timeout=TIMEOUT_S)

    def send(self, port: int, packet: bytes, number: int = 0, device_id: int = DEVICE_ID) -> None:
        request = messages.PacketStreamRequest(id=number, device_id=device_id, port=port, packet=packet)
        self._requests.put(request)

    def receive(self) -> tuple[int, int, bytes]:
        """(id, port, packet) of the next response."""
        response = next(self.call)
        assert response.device_id == DEVICE_ID
        return response.id, response.port, response.packet

    def finish(self) -> list[tuple[int, int, bytes]]:
        """The rest of the responses, after the last request."""
        self._requests.put(None)
        return [(response.id, response.port, response.packet) for response in self.call]

    def code(self) -> grpc.StatusCode:
        """What the stream ends with when it may send no more."""
        self._requests.put(None)
        try:
            for _ in self.call:
                pass
        except grpc.RpcError as error:
            assert isinstance(error, grpc.Call)
            return error.code()
        return grpc.StatusCode.OK


def command(what: int, argument: int, result: int = 0) -> bytes:
    """A packet of packets.p4: dst, src, type, command."""
    return struct.pack("!6s6sHBBH", b"\2" * 6, b"\4" * 6, 0x88B5, what, argument, result) + b"payload"


def test_a_packet_comes_back_with_its_id_and_so_do_its_copies(switch: Bmv2) -> None:
    configure(switch, "packets")
    group = p4r.PacketReplicationEngineEntry(
        multicast_group_entry=p4r.MulticastGroupEntry(
            multicast_group_id=7,
            replicas=[p4r.Replica(egress_port=4, instance=9), p4r.Replica(egress_port=300, instance=8)],
        )
    )
    session = p4r.PacketReplicationEngineEntry(
        clone_session_entry=p4r.CloneSessionEntry(session_id=5, replicas=[p4r.Replica(egress_port=6, instance=1)])
    )
    assert all(
        switch.client.write(
            [
                p4r.Update(type=p4r.Update.INSERT, entity=p4r.Entity(packet_replication_engine_entry=entry))
                for entry in (group, session)
            ]
        )
    )
    stream = Stream(switch.channel)
    stream.send(0, command(0, 0), 2**64 - 1)
    assert stream.receive() == (2**64 - 1, 1, command(0, 0))
    stream.send(9, command(2, 7), 41)
    stream.send(9, command(3, 5), 42)
    stream.send(9, command(10, 3), 43)  # recirculated
    stream.send(9, command(4, 3))  # resubmitted; no id
    left = sorted(stream.finish())
    assert left == sorted(
        [
            (41, 4, command(2, 7, 9)),
            (41, 300, command(2, 7, 8)),
            (42, 1, command(3, 5)),
            (42, 6, command(3, 5, 0xC1)),
            (43, 1, command(10, 3, 3)),
            (0, 1, command(4, 3, 3)),
        ]
    )
    assert stream.call.code() == grpc.StatusCode.OK


def test_one_client_at_a_time_and_none_before_there_is_a_program(switch: Bmv2) -> None:
    early = Stream(switch.channel)
    assert early.code() == grpc.StatusCode.UNAVAILABLE
    configure(switch, "packets")
    first = Stream(switch.channel)
    first.send(3, command(0, 0), 1)
    assert first.receive()[0] == 1
    assert Stream(switch.channel).code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    first.send(3, command(0, 1), 2)
    assert [number for number, _, _ in first.finish()] == [2]
    second = Stream(switch.channel)
    second.send(3, command(0, 2), 3)
    assert [packet for _, _, packet in second.finish()] == [command(0, 2)]


def test_other_devices_packets_and_empty_ones_are_passed_over(switch: Bmv2) -> None:
    configure(switch, "packets")
    stream = Stream(switch.channel)
    stream.send(1, command(0, 1), 1, device_id=DEVICE_ID + 1)
    stream.send(1, b"", 2)
    stream.send(1, command(0, 3), 3)
    assert stream.finish() == [(3, 1, command(0, 3))]


def test_a_stream_ends_when_the_queues_are_empty(switch: Bmv2) -> None:
    configure(switch, "queues")
    assert switch.thrift.call("simple_switch", "set_egress_queue_rate", 2, 50) == 0
    stream = Stream(switch.channel)
    for number in range(1, 9):
        stream.send(0, struct.pack("!HBB", 2, 0, number), number)
    assert [(number, port, packet[3]) for number, port, packet in stream.finish()] == [
        (number, 2, number) for number in range(1, 9)
    ]


def set_status(switch: Bmv2, port: int, status: int, device_id: int = DEVICE_ID) -> grpc.StatusCode:
    call = switch.channel.unary_unary(
        f"/{messages.SERVICE}/SetPortOperStatus",
        request_serializer=messages.SetPortOperStatusRequest.SerializeToString,
        response_deserializer=messages.SetPortOperStatusResponse.FromString,
    )
    request = messages.SetPortOperStatusRequest(device_id=device_id, port=port, oper_status=status)
    try:
        call(request, wait_for_ready=True, timeout=TIMEOUT_S)
    except grpc.RpcError as error:
        assert isinstance(error, grpc.Call)
        return error.code()
    return grpc.StatusCode.OK


def test_selectors_follow_the_status_that_ports_are_given(switch: Bmv2) -> None:
    configure(switch, "tools")
    _, info = compiled_with_info("tools")
    updates = watching_group(info)
    assert switch.client.write(updates) == [True] * len(updates), switch.client.refusals
    result_of = {True: b"\0\1", False: b"\0\2"}
    stream = Stream(switch.channel)
    for status in (None, messages.DOWN, messages.UP):
        if status is not None:
            assert set_status(switch, 7, status) == grpc.StatusCode.OK
        stream.send(1, probe(0, number=0), 5)
        assert stream.receive()[2][8:10] == result_of[status != messages.DOWN], status
    assert stream.finish() == []
    assert set_status(switch, 7, messages.UNKNOWN) == grpc.StatusCode.INVALID_ARGUMENT
    assert set_status(switch, 7, messages.UP, DEVICE_ID + 1) == grpc.StatusCode.INVALID_ARGUMENT


def watching_group(info: Any) -> Sequence[p4r.Update]:
    """In `I.balanced` of tools.p4, for index 0: a group of `mark` with result 1 while port 7 is up, else 2."""
    profile = info.action_profiles[0].preamble.id
    mark = next(action for action in info.actions if action.preamble.name == "I.mark")
    balanced = next(table for table in info.tables if table.preamble.name == "I.balanced")
    entities = []
    for member in (1, 2):
        action = p4r.Action(action_id=mark.preamble.id)
        for param in mark.params:
            value = bytes([member]) if param.name == "result" else b"\0"
            action.params.add(param_id=param.id, value=value)
        entities.append(
            p4r.Entity(
                action_profile_member=p4r.ActionProfileMember(
                    action_profile_id=profile, member_id=member, action=action
                )
            )
        )
    group = p4r.ActionProfileGroup(action_profile_id=profile, group_id=1, max_size=4)
    group.members.add(member_id=1, weight=1, watch_port=b"\7")
    group.members.add(member_id=2, weight=1)
    entities.append(p4r.Entity(action_profile_group=group))
    entry = p4r.TableEntry(table_id=balanced.preamble.id)
    for field in balanced.match_fields:
        if field.name.endswith("index"):
            entry.match.add(field_id=field.id).exact.value = b"\0"
    entry.action.action_profile_group_id = 1
    entities.append(p4r.Entity(table_entry=entry))
    return [p4r.Update(type=p4r.Update.INSERT, entity=entity) for entity in entities]


def test_a_client_that_is_gone_makes_room(switch: Bmv2) -> None:
    configure(switch, "packets")
    for number in range(3):
        stream = Stream(switch.channel)
        stream.send(0, command(0, number), 1)
        while True:  # the switch learns of it when it learns of it
            try:
                assert stream.receive() == (1, 1, command(0, number))
                break
            except grpc.RpcError as error:
                assert isinstance(error, grpc.Call)
                assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
                stream = Stream(switch.channel)
                stream.send(0, command(0, number), 1)
        stream.call.cancel()


def test_ports_behind_a_gate_are_counted_and_not_opened() -> None:
    plane = NativeDataplane(cpu_port=510)
    try:
        gate = plane.endpoints.open_gate()
        assert isinstance(gate, Gate)
        plane.add_port(4, "no-such-interface")
        plane.remove_port(9)
        answers = Answers(device_id=1)
        assert gate.enter(answers)
        assert not gate.enter(Answers(device_id=1))
        assert not gate.ready()
        plane.load(compiled("packets"))
        assert gate.ready()
        gate.receive(0xFFFF_FFFF, command(0, 0), 3)  # what is no port is a packet all the same
        gate.receive(4, command(0, 0), 3)
        gate.settle()
        gate.leave()
        gate.receive(4, command(0, 0), 4)
        gate.settle()
        answers.close()
        assert [(response.id, response.port) for response in answers] == [(3, 1), (3, 1)]
        stats = {stat.port: stat for stat in plane.ports()}
        assert (stats[4].interface, stats[4].rx_packets, stats[4].up) == ("no-such-interface", 2, True)
        assert (stats[1].tx_packets, stats[1].tx_dropped, stats[1].tx_bytes) == (2, 1, 2 * len(command(0, 0)))
        assert plane.has_port(77)
    finally:
        plane.close()


def test_a_client_that_does_not_read_holds_packets_up_and_not_the_end() -> None:
    plane = NativeDataplane()
    gate = plane.endpoints.open_gate()
    plane.load(compiled("packets"))
    answers = Answers(device_id=1)
    assert gate.enter(answers)
    for number in range(MAX_WAITING + 10):
        gate.receive(0, command(0, 0), number + 1)
    taken = iter(answers)
    assert [next(taken).id for _ in range(MAX_WAITING + 10)] == list(range(1, MAX_WAITING + 11))
    for _ in range(MAX_WAITING + 10):
        gate.receive(0, command(0, 0), 1)
    answers.close()  # or `close` would wait for the client
    plane.close()
