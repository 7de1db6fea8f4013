"""The service over real gRPC: statuses with details, streams, TLS, limits, shutdown, and finsy as an independent client."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import finsy as fy
import grpc
import pytest

from p4base.messages import p4r, rpc_status
from p4base.rpc import p4r_grpc
from p4switch.service.core import Device
from p4switch.service.errors import Code
from p4switch.service.memory import MemoryDataplane
from p4switch.service.server import BindError, P4RuntimeServer
from tests.p4switch.harness import DEVICE_ID, arbitration, table, tables
from tests.p4switch.programs import TABLE_ID, exact_entry, make_config, route_entry


class Running:
    """A server over a data plane in memory."""

    def __init__(self) -> None:
        self.dataplane = MemoryDataplane()
        self.server = P4RuntimeServer(Device(DEVICE_ID, self.dataplane), "127.0.0.1:0")
        self.server.start()
        self.address = f"127.0.0.1:{self.server.port}"

    def sent(self) -> bytes:
        """The packet-out that has reached the data plane, when it has."""
        deadline = time.monotonic() + 100
        while not self.dataplane.packets_out and time.monotonic() < deadline:
            time.sleep(0.001)
        return self.dataplane.packets_out.pop()


class RawClient:
    """A client that sends exactly what a test tells it to."""

    def __init__(self, address: str, election_id: int | None = 1) -> None:
        self.channel = grpc.insecure_channel(
            address, options=[("grpc.max_metadata_size", 1 << 20), ("grpc.max_receive_message_length", 64 << 20)]
        )
        self.stub = p4r_grpc.P4RuntimeStub(self.channel)
        self._requests: queue.SimpleQueue[p4r.StreamMessageRequest | None] = queue.SimpleQueue()
        self.election_id = election_id
        self.stream = self.stub.StreamChannel(iter(self._requests.get, None))
        self.send(arbitration(election_id))

    def send(self, request: p4r.StreamMessageRequest) -> None:
        self._requests.put(request)

    def receive(self) -> p4r.StreamMessageResponse:
        return next(iter(self.stream))

    def close(self) -> None:
        self._requests.put(None)
        self.channel.close()

    def set_config(self) -> None:
        request = p4r.SetForwardingPipelineConfigRequest(
            device_id=DEVICE_ID, action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT, config=make_config()
        )
        request.election_id.low = self.election_id or 0
        self.stub.SetForwardingPipelineConfig(request)

    def insert(self, *entries: p4r.TableEntry) -> None:
        request = p4r.WriteRequest(device_id=DEVICE_ID)
        request.election_id.low = self.election_id or 0
        for entry in entries:
            request.updates.add(type=p4r.Update.INSERT, entity=table(entry))
        self.stub.Write(request, timeout=100)


@pytest.fixture
def running() -> Iterator[Running]:
    running = Running()
    yield running
    running.server.stop(0.1)


@pytest.fixture
def client(running: Running) -> Iterator[RawClient]:
    client = RawClient(running.address)
    client.receive()
    client.set_config()
    yield client
    client.close()


def test_details_of_a_failed_write(client: RawClient) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.insert(exact_entry(1), exact_entry(1), exact_entry(2))
    call = caught.value
    assert isinstance(call, grpc.Call)
    assert call.code() == grpc.StatusCode.UNKNOWN
    metadata = dict(call.trailing_metadata() or ())
    status = rpc_status.Status.FromString(metadata["grpc-status-details-bin"])
    assert (status.code, status.message) == (Code.UNKNOWN, call.details())
    errors = []
    for detail in status.details:
        error = p4r.Error()
        detail.Unpack(error)
        errors.append(Code(error.canonical_code))
    assert errors == [Code.OK, Code.ALREADY_EXISTS, Code.OK]


def test_duplicate_election_id_closes_the_stream_of_the_newcomer(running: Running, client: RawClient) -> None:
    second = RawClient(running.address, 1)
    with pytest.raises(grpc.RpcError) as caught:
        second.receive()
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "election id 1" in (caught.value.details() or "")
    client.insert(exact_entry(5))  # the first is not disturbed
    second.close()


def test_backup_learns_that_the_primary_is_gone_and_takes_over(running: Running, client: RawClient) -> None:
    client.insert(exact_entry(1))
    backup = RawClient(running.address, 0)
    assert backup.receive().arbitration.status.code == Code.ALREADY_EXISTS
    client.close()
    assert backup.receive().arbitration.status.code == Code.NOT_FOUND
    with pytest.raises(grpc.RpcError):
        backup.insert(exact_entry(2))
    backup.election_id = 1
    backup.send(arbitration(1))
    assert backup.receive().arbitration.status.code == Code.OK
    backup.insert(exact_entry(2))
    read = p4r.ReadRequest(device_id=DEVICE_ID, entities=[table(p4r.TableEntry(table_id=TABLE_ID["exact_table"]))])
    assert [e.table_entry for r in backup.stub.Read(read) for e in r.entities] == [exact_entry(1), exact_entry(2)]
    backup.close()


def test_packets_both_ways(running: Running, client: RawClient) -> None:
    request = p4r.StreamMessageRequest()
    request.packet.payload = b"out"
    request.packet.metadata.add(metadata_id=1, value=b"\x03")
    client.send(request)
    handler = running.dataplane.packet_in_handler
    assert handler is not None
    handler(b"\x01\x80\x00\x00in")
    message = client.receive()
    assert message.packet.payload == b"in"
    assert message.packet.metadata[0].value == b"\x03"
    assert running.sent() == b"\x01\x80out"


def test_messages_above_4_megabytes(client: RawClient) -> None:
    entries = []
    for i in range(200):
        entry = route_entry(i << 64, 128)
        entry.metadata = b"m" * 50_000
        entries.append(entry)
    client.insert(*entries)
    read = p4r.ReadRequest(device_id=DEVICE_ID, entities=[table(p4r.TableEntry())])
    found = [e for r in client.stub.Read(read) for e in r.entities if e.table_entry.table_id == TABLE_ID["route_table"]]
    assert found == tables(entries)


def test_capabilities(client: RawClient) -> None:
    assert client.stub.Capabilities(p4r.CapabilitiesRequest()).p4runtime_api_version == "1.5.0"


def test_request_of_another_device(client: RawClient) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        list(client.stub.Read(p4r.ReadRequest(device_id=99)))
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_garbage_on_the_wire_is_refused_and_harms_nobody(client: RawClient) -> None:
    for method in ("Write", "Read", "SetForwardingPipelineConfig"):
        call = client.channel.unary_unary(f"/p4.v1.P4Runtime/{method}", None, None)
        with pytest.raises(grpc.RpcError):
            call(b"\xff\xff\xff\xff", timeout=100)
    with pytest.raises(grpc.RpcError):
        list(
            client.channel.stream_stream("/p4.v1.P4Runtime/StreamChannel", None, None)(iter([b"\xff\xff"]), timeout=100)
        )
    client.insert(exact_entry(1))


def test_address_in_use(running: Running) -> None:
    with pytest.raises(BindError, match=f"cannot listen on {running.address}: Address already in use"):
        P4RuntimeServer(Device(2, MemoryDataplane()), running.address)
    with pytest.raises(BindError, match=r"Cannot assign requested address"):
        P4RuntimeServer(Device(2, MemoryDataplane()), "192.0.2.1:9559")


def test_stop_closes_streams(running: Running, client: RawClient) -> None:
    stopper = threading.Thread(target=running.server.stop)
    stopper.start()
    with pytest.raises(grpc.RpcError) as caught:
        while True:
            client.receive()
    stopper.join(100)
    assert not stopper.is_alive()
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


def test_client_gone_mid_write_leaves_whole_batches(running: Running, client: RawClient) -> None:
    """The client gives up, and leaves, while its batches are worked on: the next primary finds each whole or not at all."""
    size = 100
    for first in range(0, 800, size):
        request = p4r.WriteRequest(device_id=DEVICE_ID, election_id=p4r.Uint128(low=1))
        for i in range(first, first + size):
            request.updates.add(type=p4r.Update.INSERT, entity=table(route_entry(i << 64, 128)))
        client.stub.Write.future(request, timeout=0.002 * (1 + first / size))
    client.close()
    successor = RawClient(running.address, 2)
    while successor.receive().arbitration.status.code != Code.OK:
        pass
    read = p4r.ReadRequest(device_id=DEVICE_ID, entities=[table(p4r.TableEntry(table_id=TABLE_ID["route_table"]))])
    found = sorted(e.table_entry.match[0].lpm.value for r in successor.stub.Read(read) for e in r.entities)
    batches = {int.from_bytes(value, "big") >> 64 for value in found}
    assert len(found) % size == 0
    assert all(len(batches & set(range(first, first + size))) in (0, size) for first in range(0, 800, size))
    successor.insert(exact_entry(1))
    successor.close()


def test_writers_and_readers_at_once_see_whole_batches(client: RawClient) -> None:
    """A batch of two inserts or two deletes: no read may see one of them."""
    odd: list[int] = []
    done = threading.Event()

    def read() -> None:
        request = p4r.ReadRequest(
            device_id=DEVICE_ID, entities=[table(p4r.TableEntry(table_id=TABLE_ID["exact_table"]))]
        )
        while not done.is_set():
            count = sum(len(r.entities) for r in client.stub.Read(request))
            if count % 2:
                odd.append(count)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    pair = [exact_entry(1), exact_entry(2)]
    for _ in range(50):
        for kind in (p4r.Update.INSERT, p4r.Update.DELETE):
            request = p4r.WriteRequest(device_id=DEVICE_ID, election_id=p4r.Uint128(low=1))
            for entry in pair:
                request.updates.add(type=kind, entity=table(entry))
            client.stub.Write(request, timeout=100)
    done.set()
    for reader in readers:
        reader.join(100)
    assert odd == []


async def read_all(switch: fy.Switch, request: object) -> list[object]:
    """Everything that a request selects. (finsy's overloads of `read` are not usable as they are typed.)"""
    answers: Any = switch.read(request)
    return [entity async for entity in answers]


@pytest.mark.asyncio
async def test_finsy_drives_the_switch(running: Running, tmp_path: Path) -> None:
    """Pipeline, writes, reads, and packets both ways, by a client that shares no code with the service but the messages."""
    config = make_config()
    p4info = tmp_path / "program.p4info.txtpb"
    p4info.write_text(str(config.p4info))
    p4blob = tmp_path / "program.json"
    p4blob.write_bytes(config.p4_device_config)
    options = fy.SwitchOptions(p4info=p4info, p4blob=p4blob, device_id=DEVICE_ID)
    async with fy.Switch("sw1", running.address, options) as switch:
        entry = fy.P4TableEntry(
            "acl_table",
            match=fy.Match(proto=6, src=(0x0A000000, 0xFF000000), dport=(80, 90)),
            action=fy.Action("forward", port=3, mac=0x0A0000000001),
            priority=10,
        )
        route = fy.P4TableEntry("route_table", match=fy.Match(wide=(0x20010DB8 << 96, 32)), action=fy.Action("drop"))
        members = [fy.P4ActionProfileMember("selector", member_id=i, action=fy.Action("mark", value=i)) for i in (1, 2)]
        group = fy.P4ActionProfileGroup(
            "selector", group_id=1, members=[fy.P4Member(1, weight=1), fy.P4Member(2, weight=2)]
        )
        await switch.write([+entry, +route, *(+member for member in members)])
        await switch.write([+group])
        assert await read_all(switch, fy.P4TableEntry("acl_table")) == [entry]
        assert await read_all(switch, fy.P4TableEntry("route_table")) == [route]
        assert await read_all(switch, fy.P4ActionProfileGroup()) == [group]
        with pytest.raises(fy.P4ClientError, match="ALREADY_EXISTS"):
            await switch.write([route])  # `+` has marked it already
        packets = switch.read_packets()
        handler = running.dataplane.packet_in_handler
        assert handler is not None
        handler(b"\x01\x80\x00\x00" + bytes(20))
        packet = await anext(packets)
        assert packet["ingress_port"] == 3
        await switch.write([fy.P4PacketOut(b"out", egress_port=5, pad=0)])
        assert await asyncio.to_thread(running.sent) == b"\x02\x80out"
        await switch.delete_all()
        assert await read_all(switch, fy.P4TableEntry("acl_table")) == []
