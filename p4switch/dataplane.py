"""What the P4Runtime service asks of a data plane: the seam between `p4switch.service` and `p4switch.native`.

Everything crosses this seam in the terms of the BMv2 JSON: objects by their fully qualified name (which is their P4Info
name too) and values as packed bytes, so that the native runtime can take them without a Python object per value.

Packing: the fields of a key, in the JSON's key order, or the parameters of an action, in the JSON's order, each as
big-endian bytes of ceil(width / 8) bytes, concatenated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable


class Status(Enum):
    """Why a data plane refused a write. The service turns it into the gRPC code of the same name."""

    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"


class DataplaneError(Exception):
    """A write or a load that was refused; nothing changed. `str()` is a sentence for the user naming the object."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Match:
    """The match part of an entry.

    Attributes:
        value: the packed key: exact values, LPM and ternary values (already masked), range low bounds.
        mask: as many bytes: all ones for exact fields, the prefix's or ternary mask, the high bound of a range. Empty
            for a table whose fields are all exact.
        priority: P4Runtime's, higher wins; 0 for a table without ternary, range or optional fields.
    """

    value: bytes
    mask: bytes = b""
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Action:
    """An action by full name, with its packed parameters."""

    name: str
    args: bytes = b""


@dataclass(frozen=True, slots=True)
class MemberRef:
    """A member of the table's action profile, by member id."""

    member_id: int


@dataclass(frozen=True, slots=True)
class GroupRef:
    """A group of the table's action selector, by group id."""

    group_id: int


TableAction = Action | MemberRef | GroupRef


@dataclass(frozen=True, slots=True)
class Counter:
    """Packets and bytes since the last write of the counter."""

    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Entry:
    """An installed entry, as `read_entries` yields it."""

    match: Match
    action: TableAction
    counter: Counter | None = None


@dataclass(frozen=True, slots=True)
class GroupMember:
    """A member's place in a group. `weight` >= 1; `watch_port` None means always active."""

    member_id: int
    weight: int = 1
    watch_port: int | None = None


@dataclass(frozen=True, slots=True)
class PortStats:
    """One port: its number, interface and counters since it was added."""

    port: int
    interface: str
    up: bool
    rx_packets: int
    rx_bytes: int
    tx_packets: int
    tx_bytes: int
    rx_dropped: int
    tx_dropped: int


PacketInHandler = Callable[[bytes], None]
"""Called with each frame sent to the CPU port, from a thread of the data plane's own; must not block long."""


class Dataplane(Protocol):
    """A running pipeline. Every method is safe to call from any thread; writes never stop the packet threads.

    Every write method raises DataplaneError and changes nothing when it does.
    """

    # -- pipeline
    def load(self, bmv2_json: bytes) -> None:
        """Replace the pipeline. Tables start empty but for the JSON's constant entries. Keeps the old one on an error."""

    # -- ports
    def add_port(self, port: int, interface: str) -> None: ...
    def remove_port(self, port: int) -> None: ...
    def ports(self) -> Sequence[PortStats]: ...

    # -- table entries
    def insert_entry(self, table: str, match: Match, action: TableAction) -> None: ...
    def modify_entry(self, table: str, match: Match, action: TableAction) -> None: ...
    def delete_entry(self, table: str, match: Match) -> None: ...
    def set_default_action(self, table: str, action: TableAction | None) -> None:
        """None restores the default action of the program."""

    def default_action(self, table: str) -> TableAction | None: ...
    def read_entries(self, table: str) -> Iterator[Entry]: ...
    def read_entry(self, table: str, match: Match) -> Entry | None: ...
    def write_direct_counter(self, table: str, match: Match, value: Counter) -> None: ...

    # -- action profiles and selectors
    def insert_member(self, profile: str, member_id: int, action: Action) -> None: ...
    def modify_member(self, profile: str, member_id: int, action: Action) -> None: ...
    def delete_member(self, profile: str, member_id: int) -> None: ...
    def read_members(self, profile: str) -> Iterator[tuple[int, Action]]: ...
    def insert_group(self, profile: str, group_id: int, members: Sequence[GroupMember]) -> None: ...
    def modify_group(self, profile: str, group_id: int, members: Sequence[GroupMember]) -> None: ...
    def delete_group(self, profile: str, group_id: int) -> None: ...
    def read_groups(self, profile: str) -> Iterator[tuple[int, Sequence[GroupMember]]]: ...

    # -- indexed state; `index` None means all of it
    def read_counter(self, counter: str, index: int | None) -> Sequence[Counter]: ...
    def write_counter(self, counter: str, index: int | None, value: Counter) -> None: ...
    def read_register(self, register: str, index: int | None) -> Sequence[int]: ...
    def write_register(self, register: str, index: int | None, value: int) -> None: ...

    # -- packets to and from the CPU
    def packet_out(self, frame: bytes) -> None:
        """Process `frame` as received on the CPU port (it starts with the packet-out header, if the program has one)."""

    def on_packet_in(self, handler: PacketInHandler) -> None: ...

    def close(self) -> None: ...


Replica = tuple[int, int]
"""A copy of a packet: (egress port, instance)."""


@runtime_checkable
class ReplicatingDataplane(Protocol):
    """What a data plane with multicast and clone sessions offers besides. Both start with none at each `load`."""

    def set_multicast_group(self, group: int, replicas: Sequence[Replica]) -> None:
        """The copies made for a multicast group; none removes it."""

    def set_clone_session(
        self, session: int, replicas: Sequence[Replica], truncate: int = 0, class_of_service: int = 0
    ) -> None:
        """The copies made for a clone session, cut to `truncate` bytes if that is not 0; no replicas remove it."""
