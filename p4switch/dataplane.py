"""What the P4Runtime service asks of a data plane: the seam between `p4switch.service` and `p4switch.native`.

import msgspec
Everything crosses this seam in the terms of the BMv2 JSON: objects by their fully qualified name (which is their P4Info
name too) and values as packed bytes, so that the native runtime can take them without a Python object per value.

Packing: the fields of a key, in the JSON's key order, or the parameters of an action, in the JSON's order, each as
big-endian bytes of ceil(width / 8) bytes, concatenated.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from enum import Enum
from typing import Protocol, runtime_checkable

import msgspec


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


class Match(msgspec.Struct, frozen=True):
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


class Action(msgspec.Struct, frozen=True):
    """An action by full name, with its packed parameters."""

    name: str
    args: bytes = b""


class MemberRef(msgspec.Struct, frozen=True):
    """A member of the table's action profile, by member id."""

    member_id: int


class GroupRef(msgspec.Struct, frozen=True):
    """A group of the table's action selector, by group id."""

    group_id: int


TableAction = Action | MemberRef | GroupRef


class Counter(msgspec.Struct, frozen=True):
    """Packets and bytes since the last write of the counter."""

    packets: int
    bytes: int


class MeterConfig(msgspec.Struct, frozen=True):
    """Rates in units (bytes or packets, as the program says) a second, bursts in units.

    Attributes:
        single_rate: RFC 2697's marker: one rate, and an excess burst `eburst` instead of the peak. Else RFC 2698's.
    """

    cir: float
    cburst: int
    pir: float
    pburst: int
    eburst: int = 0
    single_rate: bool = False


class MeterState(msgspec.Struct, frozen=True):
    """A meter as it is read: its configuration (None: every packet is green), and the packets marked with each colour."""

    config: MeterConfig | None
    green: Counter
    yellow: Counter
    red: Counter


class Attributes(msgspec.Struct, frozen=True):
    """What is written with an entry beside its match and action.

    Attributes:
        note: bytes that mean nothing to the data plane, kept with the entry.
        idle_timeout_ns: how long it may go without a hit before it is reported; 0 is for ever.
        counter: the direct counter's value; None is 0 at insertion, and leaves it alone in a modification.
        meter: the direct meter's configuration; None makes every packet green.
    """

    note: bytes = b""
    idle_timeout_ns: int = 0
    counter: Counter | None = None
    meter: MeterConfig | None = None


PLAIN = Attributes()
"""An entry with a match and an action only."""


class Entry(msgspec.Struct, frozen=True):
    """An installed entry, as `read_entries` yields it.

    Attributes:
        counter, meter: None in a table without a direct counter, or meter.
        idle_ns: the time since it was last hit, or inserted; kept in tables with timeouts only.
    """

    match: Match
    action: TableAction
    counter: Counter | None = None
    meter: MeterState | None = None
    note: bytes = b""
    idle_timeout_ns: int = 0
    idle_ns: int = 0


class GroupMember(msgspec.Struct, frozen=True):
    """A member's place in a group. `weight` >= 1; `watch_port` None means always active."""

    member_id: int
    weight: int = 1
    watch_port: int | None = None


class PortStats(msgspec.Struct, frozen=True):
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


class DigestConfig(msgspec.Struct, frozen=True):
    """How the samples of a digest are gathered (P4Runtime specification, "DigestEntry").

    Attributes:
        max_timeout_ns: how long a sample may wait for others; 0: each is a list of its own.
        max_list_size: samples of a list; 0: as the data plane likes.
        ack_timeout_ns: how long a sample that was sent is not sent again, unless its list is acknowledged.
    """

    max_timeout_ns: int
    max_list_size: int
    ack_timeout_ns: int


class DigestList(msgspec.Struct, frozen=True):
    """A list of distinct samples.

    Attributes:
        samples: each is the digest's fields in the JSON's order, each as big-endian bytes of ceil(width / 8).
        timestamp_ns: since the epoch.
    """

    digest: str
    list_id: int
    timestamp_ns: int
    samples: tuple[bytes, ...]


class ValueSetField(msgspec.Struct, frozen=True):
    """A field of a value set's key: `size` bytes; a `ranged` one is matched between bounds, others under a mask."""

    size: int
    ranged: bool = False


Replica = tuple[int, int]
"""A copy of a packet: (egress port, instance)."""

PacketInHandler = Callable[[bytes], None]
"""Called with each frame sent to the CPU port, from a thread of the data plane's own; must not block long."""

DigestHandler = Callable[[DigestList], None]
"""Called with each digest list, from a thread of the data plane's own; must not block long."""

IdleHandler = Callable[[str, Sequence[Entry]], None]
"""Called with a table's name and its entries that have been idle for their timeout, likewise."""


class Dataplane(Protocol):
    """A running pipeline. Every method is safe to call from any thread; writes never stop the packet threads.

    Every write method raises DataplaneError and changes nothing when it does.
    """

    # -- pipeline
    def check(self, bmv2_json: bytes) -> None:
        """Raise DataplaneError if `load` would refuse the program, as far as can be told without loading it."""

    def load(self, bmv2_json: bytes, keep: Collection[str] = ()) -> None:
        """Replace the pipeline. Tables start empty but for the JSON's constant entries. Keeps the old one on an error.

        Args:
            keep: registers, counters and meters, of the same shape in both programs, that go on with their cells.
        """

    # -- ports
    def add_port(self, port: int, interface: str) -> None: ...
    def remove_port(self, port: int) -> None: ...
    def ports(self) -> Sequence[PortStats]: ...
    def has_port(self, port: int) -> bool:
        """Whether a selector may watch the port."""

    def atomic(self) -> AbstractContextManager[None]:
        """Packets see all that this thread writes within the block, or nothing of it. Short blocks: packets wait."""

    # -- table entries
    def insert_entry(self, table: str, match: Match, action: TableAction, attributes: Attributes = PLAIN) -> None: ...
    def modify_entry(self, table: str, match: Match, action: TableAction, attributes: Attributes = PLAIN) -> None: ...
    def delete_entry(self, table: str, match: Match) -> None: ...
    def set_default_action(self, table: str, action: TableAction | None) -> None:
        """None restores the default action of the program."""

    def default_action(self, table: str) -> TableAction | None: ...
    def read_entries(self, table: str) -> Iterator[Entry]: ...
    def read_entry(self, table: str, match: Match) -> Entry | None: ...
    def write_direct_counter(self, table: str, match: Match, value: Counter) -> None: ...
    def write_direct_meter(self, table: str, match: Match, config: MeterConfig | None) -> None: ...
    def clear_direct_meter(self, table: str, match: Match) -> None:
        """Set the counters of the meter's colours to 0."""

    def on_idle(self, handler: IdleHandler) -> None: ...

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
    def read_meter(self, meter: str, index: int | None) -> Sequence[MeterState]: ...
    def write_meter(self, meter: str, index: int | None, config: MeterConfig | None) -> None: ...
    def clear_meter(self, meter: str, index: int | None) -> None:
        """Set the counters of the meter's colours to 0."""

    # -- parser value sets
    def write_value_set(self, value_set: str, members: Sequence[Match], fields: Sequence[ValueSetField]) -> None:
        """Replace the members. Their masks may be empty if no field is ranged or masked."""

    # -- digests
    def configure_digest(self, digest: str, config: DigestConfig | None) -> None:
        """None: the digest's samples are thrown away, as they are until it is configured."""

    def acknowledge_digest(self, digest: str, list_id: int) -> None:
        """The samples of a list may be sent again. NOT_FOUND if there is no such list, or no longer."""

    def on_digest(self, handler: DigestHandler) -> None: ...

    # -- replication; none of it at each `load`
    def set_multicast_group(
        self, group: int, replicas: Sequence[Replica], backups: Sequence[Sequence[Replica]] = ()
    ) -> None:
        """The copies made for a multicast group; none removes it.

        Args:
            backups: for each replica those that stand in for it while its port is down, the most preferred one first.
        """

    def set_clone_session(
        self, session: int, replicas: Sequence[Replica], truncate: int = 0, class_of_service: int = 0
    ) -> None:
        """The copies made for a clone session, cut to `truncate` bytes if that is not 0; no replicas remove it."""

    # -- packets to and from the CPU
    def packet_out(self, frame: bytes) -> None:
        """Process `frame` as received on the CPU port (it starts with the packet-out header, if the program has one)."""

    def on_packet_in(self, handler: PacketInHandler) -> None: ...

    def close(self) -> None: ...


class WireValue(msgspec.Struct, frozen=True):
    """A key field, or an action's parameter, as P4Runtime knows it and where it is packed.

    Attributes:
        kind: of a field: its number in `p4.v1.FieldMatch`; 0 of a parameter.
    """

    id: int
    kind: int
    bitwidth: int
    offset: int
    size: int


class WireAction(msgspec.Struct, frozen=True):
    """An action of a table. `in_entries`: entries may be written with it, by bytes."""

    id: int
    name: str
    in_entries: bool
    params: tuple[WireValue, ...]


class WireTable(msgspec.Struct, frozen=True):
    """A table as P4Runtime knows it.

    Attributes:
        writable: ordinary writes of its entries need nothing of the service.
        constant: its entries are marked `is_const` when they are read.
        fields: in P4Info's order.
    """

    id: int
    name: str
    writable: bool
    constant: bool
    prioritised: bool
    fields: tuple[WireValue, ...]
    actions: tuple[WireAction, ...]


class WireHeader(msgspec.Struct, frozen=True):
    """What a WriteRequest says beside its updates; `election_id` None if it is unset."""

    device_id: int
    role: bytes
    election_id: int | None
    atomicity: int
    updates: int


class WireQuery(msgspec.Struct, frozen=True):
    """Which entries of a table are read, and what of them beside match, action and metadata.

    Attributes:
        priority: 0 for any; `action` None for any.
    """

    priority: int = 0
    action: str | None = None
    counter: bool = False
    meter: bool = False
    colours: bool = False
    last_hit: bool = False


class WireBatch(Protocol):
    """The updates of one WriteRequest.

    Attributes:
        others: the indices of those that are not ordinary inserts, modifications and deletions of table entries.
        only_inserts: all of them are ordinary inserts.
    """

    others: Sequence[int]
    only_inserts: bool

    def __len__(self) -> int: ...

    def update(self, index: int) -> bytes:
        """A serialised `p4.v1.Update`."""

    def apply(self, first: int) -> int:
        """Carry out the updates from `first` on. The index of the first one that was not carried out, because it is not
        ordinary or because it is refused; the number of updates if all were."""

    def undo(self, count: int) -> None:
        """Take back the first `count` updates, which are inserts that were carried out."""


class WireCodec(Protocol):
    """Writes and reads the entries of the loaded program's tables as P4Runtime's bytes, without an object for each."""

    def batch(self, request: bytes) -> WireBatch: ...

    def read(self, table: str, query: WireQuery) -> Sequence[bytes] | None:
        """Serialised ReadResponses, of about 1 MB each; None if the table has entries that the service has to write."""


@runtime_checkable
class WireDataplane(Protocol):
    """What a data plane offers besides that takes P4Runtime's bytes."""

    def wire_header(self, request: bytes) -> WireHeader | None:
        """None if the WriteRequest has anything unusual about it, such as not being one."""

    def wire_codec(self, tables: Sequence[WireTable]) -> WireCodec:
        """For the program that is loaded now."""
