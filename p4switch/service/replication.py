"""Multicast groups and clone sessions (specification, "PacketReplicationEngineEntry").

The data plane is told the copies to make; what else a client wrote (metadata, the form of a port) is kept here, so that
it is read back as it was written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from p4base import bytestring
from p4base.messages import p4r
from p4switch.dataplane import Dataplane, Replica
from p4switch.service import wire
from p4switch.service.entity import DELETE, INSERT, Emit, ReadScope, answer
from p4switch.service.errors import Code, P4Error, invalid

_REPLICATION_ENTRY = 9  # the field number in p4.v1.Entity
_MULTICAST_GROUP = 1
_CLONE_SESSION = 2

MAX_MULTICAST_GROUP = 65535
"""The width of v1model's `mcast_grp`."""

MAX_CLONE_SESSION = 32768
"""As in the reference."""

MAX_CLASS_OF_SERVICE = 7
"""The width of v1model's `priority`, which a clone gets if its session has a class of service."""

MAX_INSTANCE = 65535
"""The width of v1model's `egress_rid`."""

_PORT_BITS = 32

_answer = answer(_REPLICATION_ENTRY)


class ReplicationHandler:
    """`PacketReplicationEngineEntry`."""

    def __init__(self, dataplane: Dataplane) -> None:
        self._dataplane = dataplane
        self._groups: dict[int, bytes] = {}
        self._sessions: dict[int, bytes] = {}

    def p4_id(self, message: p4r.PacketReplicationEngineEntry) -> int:
        return 0

    def write(self, kind: int, message: p4r.PacketReplicationEngineEntry) -> None:
        match message.WhichOneof("type"):
            case "multicast_group_entry":
                self._write_group(kind, message.multicast_group_entry)
            case "clone_session_entry":
                self._write_session(kind, message.clone_session_entry)
            case _:
                raise invalid("the packet replication entry is unset, expected a multicast group or a clone session")

    def _write_group(self, kind: int, entry: p4r.MulticastGroupEntry) -> None:
        group = entry.multicast_group_id
        what = f"multicast group {group}"
        _check_key(kind, self._groups, group, MAX_MULTICAST_GROUP, what)
        if kind == DELETE:
            self._dataplane.set_multicast_group(group, ())
            del self._groups[group]
            return
        replicas, backups = _replicas(entry.replicas, what)
        self._dataplane.set_multicast_group(group, replicas, backups)
        self._groups[group] = _canonical(entry)

    def _write_session(self, kind: int, entry: p4r.CloneSessionEntry) -> None:
        session = entry.session_id
        what = f"clone session {session}"
        _check_key(kind, self._sessions, session, MAX_CLONE_SESSION, what)
        if kind == DELETE:
            self._dataplane.set_clone_session(session, ())
            del self._sessions[session]
            return
        if entry.packet_length_bytes < 0:
            raise invalid(f"{what}: packet_length_bytes {entry.packet_length_bytes} is negative")
        if entry.class_of_service > MAX_CLASS_OF_SERVICE:
            raise invalid(f"{what}: class_of_service {entry.class_of_service}, expected 0 to {MAX_CLASS_OF_SERVICE}")
        replicas, backups = _replicas(entry.replicas, what)
        if any(backups):
            raise invalid(f"{what}: backup replicas belong to multicast groups")
        self._dataplane.set_clone_session(session, replicas, entry.packet_length_bytes, entry.class_of_service)
        self._sessions[session] = _canonical(entry)

    def read(self, message: p4r.PacketReplicationEngineEntry, scope: ReadScope, emit: Emit) -> None:
        if scope.role is not None:  # these entries have no P4Info id by which a role could own them
            return
        for number, entry in self._select(message):
            emit(_answer(wire.bytes_field(number, entry)))

    def snapshot(self, message: p4r.PacketReplicationEngineEntry) -> Iterable[p4r.Entity]:
        for number, entry in self._select(message):
            entity = p4r.Entity()
            entity.packet_replication_engine_entry.ParseFromString(wire.bytes_field(number, entry))
            yield entity

    def _select(self, message: p4r.PacketReplicationEngineEntry) -> list[tuple[int, bytes]]:
        """(field number, serialised entry) of what is asked for; id 0 stands for all."""
        match message.WhichOneof("type"):
            case "multicast_group_entry":
                number, entries, wanted = (
                    _MULTICAST_GROUP,
                    self._groups,
                    message.multicast_group_entry.multicast_group_id,
                )
            case "clone_session_entry":
                number, entries, wanted = _CLONE_SESSION, self._sessions, message.clone_session_entry.session_id
            case _:
                raise invalid("the packet replication entry is unset, expected a multicast group or a clone session")
        return [(number, entry) for key, entry in entries.items() if wanted in (0, key)]

    def clear(self) -> None:
        """Remove all groups and sessions from the data plane."""
        for group in self._groups:
            self._dataplane.set_multicast_group(group, ())
        for session in self._sessions:
            self._dataplane.set_clone_session(session, ())
        self._groups.clear()
        self._sessions.clear()


def _check_key(kind: int, installed: Mapping[int, bytes], key: int, highest: int, what: str) -> None:
    if not 0 < key <= highest:
        raise invalid(f"{what}: expected an id of 1 to {highest}")
    if kind == INSERT and key in installed:
        raise P4Error(Code.ALREADY_EXISTS, f"{what} exists already")
    if kind != INSERT and key not in installed:
        raise P4Error(Code.NOT_FOUND, f"there is no {what}")


def _replicas(replicas: Sequence[p4r.Replica], what: str) -> tuple[list[Replica], list[list[Replica]]]:
    """The copies, and for each those that stand in for it. All of them differ in port or instance."""
    seen: set[Replica] = set()

    def place(message: p4r.Replica | p4r.BackupReplica) -> Replica:
        if message.instance > MAX_INSTANCE:
            raise invalid(f"{what}: instance {message.instance}, expected 0 to {MAX_INSTANCE}")
        copy = (_port(message, what), message.instance)
        if copy in seen:
            raise invalid(f"{what}: port {copy[0]} with instance {copy[1]} is given twice")
        seen.add(copy)
        return copy

    copies, backups = [], []
    for replica in replicas:
        copies.append(place(replica))
        backups.append([place(backup) for backup in replica.backup_replicas])
        if any(port == copies[-1][0] for port, _ in backups[-1]):
            raise invalid(f"{what}: port {copies[-1][0]} has a backup replica on the same port")
    return copies, backups


def _port(replica: p4r.Replica | p4r.BackupReplica, what: str) -> int:
    if isinstance(replica, p4r.Replica) and replica.WhichOneof("port_kind") != "port":
        return replica.egress_port  # the deprecated number, which most clients of BMv2 send
    try:
        return bytestring.decode(replica.port, _PORT_BITS)
    except bytestring.BytestringError as error:
        raise invalid(f"{what}: port: {error}") from None


def _canonical(entry: p4r.MulticastGroupEntry | p4r.CloneSessionEntry) -> bytes:
    """The entry with canonical byte strings."""
    for replica in entry.replicas:
        if replica.WhichOneof("port_kind") == "port":
            replica.port = bytestring.canonical(replica.port)
        for backup in replica.backup_replicas:
            backup.port = bytestring.canonical(backup.port)
    return entry.SerializeToString()
