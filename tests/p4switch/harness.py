"""A device over a data plane in memory, and a client that is its primary, without gRPC."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from p4base.messages import p4r
from p4switch.dataplane import Dataplane
from p4switch.service.arbitration import Client
from p4switch.service.core import Device
from p4switch.service.memory import MemoryDataplane
from tests.p4switch.programs import make_config

DEVICE_ID = 1


def received(client: Client) -> list[p4r.StreamMessageResponse]:
    """What has been sent to a client since the last call."""
    messages = []
    waiting = client.outbox._queue
    while not waiting.empty():
        message = waiting.get()
        assert message is not None, "the stream is closed"
        messages.append(p4r.StreamMessageResponse.FromString(message))
    return messages


def arbitration(election_id: int | None, role: str = "", device_id: int = DEVICE_ID) -> p4r.StreamMessageRequest:
    request = p4r.StreamMessageRequest()
    request.arbitration.device_id = device_id
    if role:
        request.arbitration.role.name = role
    if election_id is not None:
        request.arbitration.election_id.high = election_id >> 64
        request.arbitration.election_id.low = election_id & (1 << 64) - 1
    return request


@dataclass
class Harness:
    """A device with the test program installed, unless `configured` is false."""

    configured: bool = True
    dataplane: Dataplane = field(default_factory=MemoryDataplane)
    election_id: int = 10

    def __post_init__(self) -> None:
        self.device = Device(DEVICE_ID, self.dataplane)
        self.client = Client()
        self.device.stream_message(self.client, arbitration(self.election_id))
        received(self.client)
        self.dataplane.add_port(1, "veth1")
        self.dataplane.add_port(2, "veth2")
        if self.configured:
            self.set_config()

    def set_config(
        self,
        action: p4r.SetForwardingPipelineConfigRequest.Action.ValueType = (
            p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT
        ),
        config: p4r.ForwardingPipelineConfig | None = None,
        *,
        with_config: bool = True,
    ) -> None:
        request = p4r.SetForwardingPipelineConfigRequest(device_id=DEVICE_ID, action=action)
        request.election_id.low = self.election_id
        if with_config:
            request.config.CopyFrom(config or make_config())
        self.device.set_config(request)

    def write_request(
        self,
        updates: Sequence[tuple[p4r.Update.Type.ValueType, p4r.Entity]],
        atomicity: p4r.WriteRequest.Atomicity.ValueType = p4r.WriteRequest.CONTINUE_ON_ERROR,
    ) -> p4r.WriteRequest:
        request = p4r.WriteRequest(device_id=DEVICE_ID, atomicity=atomicity)
        request.election_id.low = self.election_id
        for kind, entity in updates:
            request.updates.add(type=kind, entity=entity)
        return request

    def write(
        self,
        *updates: tuple[p4r.Update.Type.ValueType, p4r.Entity],
        atomicity: p4r.WriteRequest.Atomicity.ValueType = p4r.WriteRequest.CONTINUE_ON_ERROR,
    ) -> None:
        self.device.write(self.write_request(updates, atomicity))

    def insert(self, *entities: p4r.Entity) -> None:
        self.write(*((p4r.Update.INSERT, entity) for entity in entities))

    def modify(self, *entities: p4r.Entity) -> None:
        self.write(*((p4r.Update.MODIFY, entity) for entity in entities))

    def delete(self, *entities: p4r.Entity) -> None:
        self.write(*((p4r.Update.DELETE, entity) for entity in entities))

    def read(self, *requests: p4r.Entity, role: str = "") -> list[p4r.Entity]:
        chunks, error = self.device.read(p4r.ReadRequest(device_id=DEVICE_ID, entities=requests, role=role))
        if error is not None:
            raise error
        return [entity for chunk in chunks for entity in p4r.ReadResponse.FromString(chunk).entities]

    def entries(self, table_id: int) -> list[p4r.TableEntry]:
        return [e.table_entry for e in self.read(table(p4r.TableEntry(table_id=table_id)))]


def in_order(entries: Iterable[p4r.TableEntry]) -> list[p4r.TableEntry]:
    """Entries in an order of their own: a data plane may return them in any."""
    return sorted(entries, key=lambda entry: entry.SerializeToString(deterministic=True))


def table(entry: p4r.TableEntry) -> p4r.Entity:
    return p4r.Entity(table_entry=entry)


def tables(entries: Iterable[p4r.TableEntry]) -> list[p4r.Entity]:
    return [table(entry) for entry in entries]
