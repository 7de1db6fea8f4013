"""A small synchronous P4Runtime client that speaks in names: what the packet tests need, and no more.

It shares nothing with the control plane but P4Info look-up and canonical byte strings, so that a mistake of the
controller's encoder cannot hide itself here.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from google.protobuf import text_format

from p4base.bytestring import decode, encode
from p4base.lookup import P4InfoIndex
from p4base.messages import p4i, p4r
from p4base.rpc import p4r_grpc

_SECONDS = 30
_MAX_MESSAGE = 64 << 20


class ClientError(Exception):
    """The server refused a request, or cannot be reached."""


class UnimplementedError(ClientError):
    """The server says that it does not know such a thing at all."""


@dataclass(frozen=True, slots=True)
class Lpm:
    """The first `prefix_length` bits of `value` count."""

    value: int
    prefix_length: int


@dataclass(frozen=True, slots=True)
class Ternary:
    """The bits set in `mask` count."""

    value: int
    mask: int


@dataclass(frozen=True, slots=True)
class Range:
    """Both ends are included."""

    low: int
    high: int


Match = int | Lpm | Ternary | Range


@dataclass(frozen=True, slots=True)
class GroupRef:
    """The action of an entry whose table has an action selector: one of its groups."""

    group_id: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A table entry in names.

    Attributes:
        table: name or alias.
        match: by key field; a field left out matches everything.
        action: name or alias, or a group of the table's selector.
        params: the action's parameters by name.
        priority: higher wins; only for tables with a ternary or range field.
    """

    table: str
    match: Mapping[str, Match]
    action: str | GroupRef
    params: Mapping[str, int] = field(default_factory=dict)
    priority: int = 0


@dataclass(frozen=True, slots=True)
class PacketIn:
    """A packet that the switch sent to the controller, with its metadata by name."""

    payload: bytes
    metadata: Mapping[str, int]


class Client:
    """A primary client of one switch. Close it when done."""

    def __init__(self, address: str, device_id: int, p4info_path: Path) -> None:
        self.device_id = device_id
        self.p4info = text_format.Parse(p4info_path.read_text(encoding="utf-8"), p4i.P4Info())
        self.index = P4InfoIndex(self.p4info)
        self.packets_in: queue.Queue[PacketIn] = queue.Queue()
        self._election_id = p4r.Uint128(high=0, low=int(time.time() * 1000))
        self._requests: queue.Queue[p4r.StreamMessageRequest | None] = queue.Queue()
        self._arbitrated = threading.Event()
        limits = (
            "max_send_message_length",
            "max_receive_message_length",
            "max_metadata_size",
            "absolute_max_metadata_size",
        )
        options = [(f"grpc.{name}", _MAX_MESSAGE) for name in limits]
        self._channel = grpc.insecure_channel(address, options=options)
        self._stub = p4r_grpc.P4RuntimeStub(self._channel)

    def become_primary(self) -> None:
        """Open the stream and wait until the server has taken this client as the primary.

        Raises:
            ClientError: it did not within a few seconds.
        """
        arbitration = p4r.MasterArbitrationUpdate(device_id=self.device_id, election_id=self._election_id)
        self._requests.put(p4r.StreamMessageRequest(arbitration=arbitration))
        threading.Thread(target=self._listen, daemon=True).start()
        if not self._arbitrated.wait(_SECONDS):
            raise ClientError("the switch did not accept this client as its primary")

    def close(self) -> None:
        """End the stream."""
        self._requests.put(None)
        self._channel.close()

    def _listen(self) -> None:
        try:
            for response in self._stub.StreamChannel(iter(self._requests.get, None)):
                if response.WhichOneof("update") == "arbitration" and response.arbitration.status.code == 0:
                    self._arbitrated.set()
                elif response.WhichOneof("update") == "packet":
                    self.packets_in.put(self._decode_packet_in(response.packet))
        except (grpc.RpcError, ValueError):
            return  # the channel was closed

    def _decode_packet_in(self, packet: p4r.PacketIn) -> PacketIn:
        fields = {meta.id: meta for meta in self.index.controller_headers["packet_in"].metadata}
        values = {fields[m.metadata_id].name: decode(m.value, fields[m.metadata_id].bitwidth) for m in packet.metadata}
        return PacketIn(packet.payload, values)

    # -- pipeline

    def set_pipeline(self, bmv2_json: bytes) -> None:
        """Push the pipeline; the switch starts again with empty tables."""
        config = p4r.ForwardingPipelineConfig(p4info=self.p4info, p4_device_config=bmv2_json)
        request = p4r.SetForwardingPipelineConfigRequest(
            device_id=self.device_id,
            election_id=self._election_id,
            action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
            config=config,
        )
        try:
            self._stub.SetForwardingPipelineConfig(request, timeout=_SECONDS * 4)
        except grpc.RpcError as error:
            raise ClientError(f"the switch refused the pipeline: {_describe(error)}") from None

    # -- writes

    def insert(self, *entries: Entry) -> None:
        """Insert table entries, in one batch."""
        self._write([self._update(p4r.Update.INSERT, self._table_entry(entry)) for entry in entries])

    def modify(self, *entries: Entry) -> None:
        """Modify table entries, in one batch."""
        self._write([self._update(p4r.Update.MODIFY, self._table_entry(entry)) for entry in entries])

    def delete(self, *entries: Entry) -> None:
        """Delete table entries, in one batch; their actions do not count."""
        self._write([self._update(p4r.Update.DELETE, self._table_entry(entry)) for entry in entries])

    def write(self, updates: Sequence[tuple[int, p4r.Entity]]) -> None:
        """Write entities that somebody else has encoded, in one batch: P4Runtime's update type and the entity of each."""
        self._write([p4r.Update(type=kind, entity=entity) for kind, entity in updates])  # type: ignore[arg-type]

    def modify_default(self, entry: Entry) -> None:
        """Change a table's default action; the entry's match does not count."""
        message = self._table_entry(entry)
        message.is_default_action = True
        self._write([self._update(p4r.Update.MODIFY, message)])

    def default_params(self, table: str) -> list[bytes]:
        """The parameters of a table's default action, as they are now."""
        entity = p4r.Entity()
        entity.table_entry.table_id = self.index.tables[table].preamble.id
        entity.table_entry.is_default_action = True
        request = p4r.ReadRequest(device_id=self.device_id, entities=[entity])
        found = [item.table_entry for answer in self._stub.Read(request, timeout=_SECONDS) for item in answer.entities]
        return [param.value for entry in found for param in entry.action.action.params]

    def insert_member(self, profile: str, member_id: int, action: str, **params: int) -> None:
        """Insert a member of an action profile."""
        member = p4r.ActionProfileMember(
            action_profile_id=self.index.action_profiles[profile].preamble.id,
            member_id=member_id,
            action=self._action(action, params),
        )
        self._write([self._update(p4r.Update.INSERT, member)])

    def insert_group(
        self,
        profile: str,
        group_id: int,
        weights: Mapping[int, int],
        max_size: int = 0,
        watch_ports: Mapping[int, int] | None = None,
    ) -> None:
        """Insert a group of a selector, given each member's weight by its id, and the port that it is watched by, if it is."""
        group = self._group(profile, group_id, weights, max_size)
        for member in group.members:
            if watch_ports is not None and member.member_id in watch_ports:
                member.watch_port = encode(watch_ports[member.member_id])
        self._write([self._update(p4r.Update.INSERT, group)])

    def modify_group(self, profile: str, group_id: int, weights: Mapping[int, int], max_size: int = 0) -> None:
        """Replace a group's members and weights."""
        self._write([self._update(p4r.Update.MODIFY, self._group(profile, group_id, weights, max_size))])

    def set_clone_session(self, session_id: int, port: int) -> None:
        """Make a clone session that copies to one port.

        Raises:
            UnimplementedError: the switch has no clone sessions.
        """
        session = p4r.CloneSessionEntry(session_id=session_id)
        session.replicas.add(egress_port=port, instance=1)
        entity = p4r.Entity(
            packet_replication_engine_entry=p4r.PacketReplicationEngineEntry(clone_session_entry=session)
        )
        self._write([p4r.Update(type=p4r.Update.INSERT, entity=entity)])

    def packet_out(self, payload: bytes, **metadata: int) -> None:
        """Send a packet through the switch, with its packet-out metadata by name."""
        packet = p4r.PacketOut(payload=payload)
        for meta in self.index.controller_headers["packet_out"].metadata:
            packet.metadata.add(metadata_id=meta.id, value=encode(metadata[meta.name]))
        self._requests.put(p4r.StreamMessageRequest(packet=packet))

    def _write(self, updates: Sequence[p4r.Update]) -> None:
        request = p4r.WriteRequest(device_id=self.device_id, election_id=self._election_id, updates=updates)
        try:
            self._stub.Write(request, timeout=_SECONDS)
        except grpc.RpcError as error:
            description = _describe(error)
            kind = UnimplementedError if "UNIMPLEMENTED" in description else ClientError
            raise kind(f"the switch refused a write: {description}\n{request}") from None

    @staticmethod
    def _update(
        kind: p4r.Update.Type.ValueType, item: p4r.TableEntry | p4r.ActionProfileMember | p4r.ActionProfileGroup
    ) -> p4r.Update:
        if isinstance(item, p4r.TableEntry):
            entity = p4r.Entity(table_entry=item)
        elif isinstance(item, p4r.ActionProfileMember):
            entity = p4r.Entity(action_profile_member=item)
        else:
            entity = p4r.Entity(action_profile_group=item)
        return p4r.Update(type=kind, entity=entity)

    def _group(self, profile: str, group_id: int, weights: Mapping[int, int], max_size: int) -> p4r.ActionProfileGroup:
        group = p4r.ActionProfileGroup(
            action_profile_id=self.index.action_profiles[profile].preamble.id, group_id=group_id, max_size=max_size
        )
        for member_id, weight in weights.items():
            group.members.add(member_id=member_id, weight=weight)
        return group

    def _action(self, name: str, params: Mapping[str, int]) -> p4r.Action:
        info = self.index.actions[name]
        action = p4r.Action(action_id=info.preamble.id)
        unknown = set(params) - {param.name for param in info.params}
        if unknown:
            raise KeyError(f"action {name} has no parameter {', '.join(sorted(unknown))}")
        for param in info.params:
            action.params.add(param_id=param.id, value=encode(params[param.name]))
        return action

    def _table_entry(self, entry: Entry) -> p4r.TableEntry:
        table = self.index.tables[entry.table]
        message = p4r.TableEntry(table_id=table.preamble.id, priority=entry.priority)
        unknown = set(entry.match) - {key.name for key in table.match_fields}
        if unknown:
            raise KeyError(f"table {entry.table} has no key {', '.join(sorted(unknown))}")
        for key in table.match_fields:
            if key.name in entry.match and not _matches_everything(entry.match[key.name], key.bitwidth):
                message.match.append(_field_match(key.id, entry.match[key.name]))
        if isinstance(entry.action, GroupRef):
            message.action.action_profile_group_id = entry.action.group_id
        else:
            message.action.action.CopyFrom(self._action(entry.action, entry.params))
        return message

    # -- reads

    def read_counter(self, name: str, index: int) -> tuple[int, int]:
        """Packets and bytes of one cell of an indirect counter."""
        counter = p4r.CounterEntry(counter_id=self.index.counters[name].preamble.id)
        counter.index.index = index
        for entity in self._read(p4r.Entity(counter_entry=counter)):
            return entity.counter_entry.data.packet_count, entity.counter_entry.data.byte_count
        raise ClientError(f"the switch has no cell {index} of {name}")

    def read_counters(self, name: str) -> list[int]:
        """The packets of every cell of an indirect counter."""
        counter = p4r.CounterEntry(counter_id=self.index.counters[name].preamble.id)
        cells = {
            entity.counter_entry.index.index: entity.counter_entry.data.packet_count
            for entity in self._read(p4r.Entity(counter_entry=counter))
        }
        return [cells[index] for index in sorted(cells)]

    def read_direct_counter(self, entry: Entry) -> tuple[int, int]:
        """Packets and bytes that an entry has matched."""
        message = self._table_entry(entry)
        message.ClearField("action")
        counter = p4r.DirectCounterEntry(table_entry=message)
        for entity in self._read(p4r.Entity(direct_counter_entry=counter)):
            return entity.direct_counter_entry.data.packet_count, entity.direct_counter_entry.data.byte_count
        raise ClientError(f"the switch has no such entry: {entry}")

    def _read(self, entity: p4r.Entity) -> Iterator[p4r.Entity]:
        request = p4r.ReadRequest(device_id=self.device_id, entities=[entity])
        try:
            for response in self._stub.Read(request, timeout=_SECONDS):
                yield from response.entities
        except grpc.RpcError as error:
            raise ClientError(f"the switch refused a read: {_describe(error)}\n{request}") from None


def wait_until_listening(address: str, seconds: float) -> bool:
    """Whether a gRPC server answers at `address` within `seconds`."""
    with grpc.insecure_channel(address) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=seconds)
        except grpc.FutureTimeoutError:
            return False
    return True


def _matches_everything(match: Match, bitwidth: int) -> bool:
    """Whether P4Runtime wants the field left out (specification, "Match format")."""
    if isinstance(match, Lpm):
        return match.prefix_length == 0
    if isinstance(match, Ternary):
        return match.mask == 0
    return isinstance(match, Range) and (match.low, match.high) == (0, (1 << bitwidth) - 1)


def _field_match(field_id: int, match: Match) -> p4r.FieldMatch:
    message = p4r.FieldMatch(field_id=field_id)
    if isinstance(match, int):
        message.exact.value = encode(match)
    elif isinstance(match, Lpm):
        message.lpm.value = encode(match.value)
        message.lpm.prefix_len = match.prefix_length
    elif isinstance(match, Ternary):
        message.ternary.value = encode(match.value & match.mask)
        message.ternary.mask = encode(match.mask)
    else:
        message.range.low = encode(match.low)
        message.range.high = encode(match.high)
    return message


def _describe(error: grpc.RpcError) -> str:
    """Code, message, and for a Write the errors of its updates."""
    if not isinstance(error, grpc.Call):
        return str(error)
    text = f"{error.code().name}: {error.details()}"
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            printable = bytes(byte for byte in value if 32 <= byte < 127).decode()
            text += f" [{printable}]"
    return text
