"""A data plane without packets: the control plane's state of a BMv2 JSON, in dictionaries.

It answers every write as a real one must, so it is where a pipeline that is saved but not yet committed lives
(VERIFY_AND_SAVE), where a reconciliation is rehearsed, and what the service's tests run against.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from msgspec.structs import replace

from p4switch.dataplane import (
    PLAIN,
    Action,
    Attributes,
    Counter,
    DataplaneError,
    DigestConfig,
    DigestHandler,
    Entry,
    GroupMember,
    GroupRef,
    IdleHandler,
    Match,
    MemberRef,
    MeterConfig,
    MeterState,
    PacketInHandler,
    PortStats,
    Replica,
    Status,
    TableAction,
    ValueSetField,
)
from p4switch.service.errors import P4Error
from p4switch.service.program import DeviceProgram, DeviceTable, parse_program

ZERO = Counter(0, 0)
GREEN = MeterState(None, ZERO, ZERO, ZERO)


T = TypeVar("T")


class _Cells(Generic[T]):
    """An array of which only the cells that differ from the others take memory."""

    def __init__(self, size: int, value: T) -> None:
        self._size = size
        self._value = value
        self._others: dict[int, T] = {}

    def read(self, index: int | None) -> list[T]:
        indices = range(self._size) if index is None else (index,)
        return [self._others.get(i, self._value) for i in indices]

    def write(self, index: int | None, value: T) -> None:
        if index is None:
            self._others.clear()
            self._value = value
        else:
            self._others[index] = value


@dataclass(slots=True)
class _Profile:
    size: int
    members: dict[int, Action] = field(default_factory=dict)
    groups: dict[int, tuple[GroupMember, ...]] = field(default_factory=dict)
    uses: Tally[MemberRef | GroupRef] = field(default_factory=Tally)


@dataclass(slots=True)
class _Table:
    declared: DeviceTable
    default: TableAction | None
    has_counter: bool
    has_meter: bool
    entries: dict[Match, TableAction] = field(default_factory=dict)
    counters: dict[Match, Counter] = field(default_factory=dict)
    attributes: dict[Match, Attributes] = field(default_factory=dict)

    def entry(self, match: Match, action: TableAction) -> Entry:
        attributes = self.attributes.get(match, PLAIN)
        return Entry(
            match=match,
            action=action,
            counter=self.counters.get(match, ZERO) if self.has_counter else None,
            meter=MeterState(attributes.meter, ZERO, ZERO, ZERO) if self.has_meter else None,
            note=attributes.note,
            idle_timeout_ns=attributes.idle_timeout_ns,
        )

    def attach(self, match: Match, attributes: Attributes) -> None:
        if attributes.counter is not None:
            self.counters[match] = attributes.counter
        if attributes == PLAIN:
            self.attributes.pop(match, None)
        else:
            self.attributes[match] = attributes


class MemoryDataplane:
    """The state of one program. See `p4switch.dataplane.Dataplane` for what each method promises."""

    def __init__(self, program: DeviceProgram | None = None, has_port: Callable[[int], bool] | None = None) -> None:
        """`has_port`: tells which ports there are; None: those that were added."""
        self._tables: dict[str, _Table] = {}
        self._profiles: dict[str, _Profile] = {}
        self._counters: dict[str, _Cells[Counter]] = {}
        self._registers: dict[str, _Cells[int]] = {}
        self._widths: dict[str, int] = {}
        self._ports: dict[int, str] = {}
        self._has_port = has_port or self._ports.__contains__
        self._meters: dict[str, _Cells[MeterState]] = {}
        self.value_sets: dict[str, tuple[Match, ...]] = {}
        self.digests: dict[str, DigestConfig] = {}
        self.acknowledged: list[tuple[str, int]] = []
        self.digest_handler: DigestHandler | None = None
        self.idle_handler: IdleHandler | None = None
        self.multicast_groups: dict[int, tuple[Replica, ...]] = {}
        self.backup_replicas: dict[int, tuple[tuple[Replica, ...], ...]] = {}
        self.clone_sessions: dict[int, tuple[tuple[Replica, ...], int, int]] = {}
        self.packets_out: list[bytes] = []
        self.packet_in_handler: PacketInHandler | None = None
        if program is not None:
            self._install(program)

    def check(self, bmv2_json: bytes) -> None:
        self._parse(bmv2_json)

    def load(self, bmv2_json: bytes, keep: Collection[str] = ()) -> None:
        program = self._parse(bmv2_json)
        counters, registers, meters = self._counters, self._registers, self._meters
        self._install(program)
        for name in keep:
            if name in counters:
                self._counters[name] = counters[name]
            elif name in registers:
                self._registers[name] = registers[name]
            else:
                self._meters[name] = meters[name]

    @staticmethod
    def _parse(bmv2_json: bytes) -> DeviceProgram:
        try:
            return parse_program(bmv2_json)
        except P4Error as error:
            raise DataplaneError(Status.INVALID_ARGUMENT, str(error)) from None

    def _install(self, program: DeviceProgram) -> None:
        counted, metered = set(program.direct_counters.values()), set(program.direct_meters.values())
        self._tables = {
            name: _Table(
                table, table.default, name in counted, name in metered, {e.match: e.action for e in table.entries}
            )
            for name, table in program.tables.items()
        }
        self._meters = {name: _Cells(size, GREEN) for name, size in program.meters.items()}
        self.value_sets = dict.fromkeys(program.value_sets, ())
        self.digests.clear()
        self._profiles = {name: _Profile(size) for name, size in program.profiles.items()}
        self._counters = {name: _Cells(size, ZERO) for name, size in program.counters.items()}
        self._registers = {name: _Cells(size, 0) for name, size in program.registers.items()}
        self._widths = dict(program.register_widths)
        self.multicast_groups.clear()
        self.clone_sessions.clear()

    # -- ports

    def add_port(self, port: int, interface: str) -> None:
        self._ports[port] = interface

    def remove_port(self, port: int) -> None:
        self._ports.pop(port, None)

    def ports(self) -> Sequence[PortStats]:
        return [PortStats(port, name, True, 0, 0, 0, 0, 0, 0) for port, name in self._ports.items()]

    def has_port(self, port: int) -> bool:
        return self._has_port(port)

    # -- table entries

    def atomic(self) -> AbstractContextManager[None]:
        return nullcontext()

    def insert_entry(self, table: str, match: Match, action: TableAction, attributes: Attributes = PLAIN) -> None:
        state = self._table(table)
        if match in state.entries:
            raise DataplaneError(Status.ALREADY_EXISTS, f"table {table} has an entry with this key already")
        if len(state.entries) >= state.declared.size:
            raise DataplaneError(Status.RESOURCE_EXHAUSTED, f"table {table} is full ({state.declared.size} entries)")
        self._retain(state, action)
        state.entries[match] = action
        state.attach(match, attributes)

    def modify_entry(self, table: str, match: Match, action: TableAction, attributes: Attributes = PLAIN) -> None:
        state = self._table(table)
        old = self._entry(table, match)
        self._retain(state, action)
        self._release(state, old)
        state.entries[match] = action
        state.attach(match, attributes)

    def delete_entry(self, table: str, match: Match) -> None:
        state = self._table(table)
        self._release(state, self._entry(table, match))
        del state.entries[match]
        state.counters.pop(match, None)
        state.attributes.pop(match, None)

    def set_default_action(self, table: str, action: TableAction | None) -> None:
        state = self._table(table)
        new = state.declared.default if action is None else action
        if new is not None:
            self._retain(state, new)
        if state.default is not None:
            self._release(state, state.default)
        state.default = new

    def default_action(self, table: str) -> TableAction | None:
        return self._table(table).default

    def read_entries(self, table: str) -> Iterator[Entry]:
        state = self._table(table)
        for match, action in list(state.entries.items()):
            yield state.entry(match, action)

    def read_entry(self, table: str, match: Match) -> Entry | None:
        state = self._table(table)
        action = state.entries.get(match)
        return None if action is None else state.entry(match, action)

    def write_direct_counter(self, table: str, match: Match, value: Counter) -> None:
        self._entry(table, match)
        self._table(table).counters[match] = value

    def write_direct_meter(self, table: str, match: Match, config: MeterConfig | None) -> None:
        self._entry(table, match)
        state = self._table(table)
        state.attach(match, replace(state.attributes.get(match, PLAIN), meter=config, counter=None))

    def clear_direct_meter(self, table: str, match: Match) -> None:
        self._entry(table, match)

    def on_idle(self, handler: IdleHandler) -> None:
        self.idle_handler = handler

    def _table(self, name: str) -> _Table:
        table = self._tables.get(name)
        if table is None:
            raise DataplaneError(Status.NOT_FOUND, f"no table {name}")
        return table

    def _entry(self, table: str, match: Match) -> TableAction:
        action = self._table(table).entries.get(match)
        if action is None:
            raise DataplaneError(Status.NOT_FOUND, f"table {table} has no entry with this key")
        return action

    def _retain(self, table: _Table, action: TableAction) -> None:
        """Count one more use of a member or group, which must exist."""
        if isinstance(action, Action):
            return
        profile_name = table.declared.profile
        if profile_name is None:
            raise DataplaneError(Status.INVALID_ARGUMENT, f"table {table.declared.name} has no action profile")
        profile = self._profile(profile_name)
        if isinstance(action, MemberRef) and action.member_id not in profile.members:
            raise DataplaneError(Status.NOT_FOUND, f"action profile {profile_name} has no member {action.member_id}")
        if isinstance(action, GroupRef) and action.group_id not in profile.groups:
            raise DataplaneError(Status.NOT_FOUND, f"action profile {profile_name} has no group {action.group_id}")
        profile.uses[action] += 1

    def _release(self, table: _Table, action: TableAction) -> None:
        if not isinstance(action, Action) and table.declared.profile is not None:
            self._profile(table.declared.profile).uses[action] -= 1

    # -- action profiles and selectors

    def insert_member(self, profile: str, member_id: int, action: Action) -> None:
        state = self._profile(profile)
        if member_id in state.members:
            raise DataplaneError(Status.ALREADY_EXISTS, f"action profile {profile} has a member {member_id} already")
        if len(state.members) >= state.size:
            raise DataplaneError(Status.RESOURCE_EXHAUSTED, f"action profile {profile} is full ({state.size} members)")
        state.members[member_id] = action

    def modify_member(self, profile: str, member_id: int, action: Action) -> None:
        self._member(profile, member_id)
        self._profile(profile).members[member_id] = action

    def delete_member(self, profile: str, member_id: int) -> None:
        state = self._profile(profile)
        self._member(profile, member_id)
        group = next((g for g, ms in state.groups.items() if any(m.member_id == member_id for m in ms)), None)
        if group is not None:
            raise DataplaneError(
                Status.FAILED_PRECONDITION, f"member {member_id} of action profile {profile} is in group {group}"
            )
        if state.uses[MemberRef(member_id)]:
            raise DataplaneError(
                Status.FAILED_PRECONDITION, f"member {member_id} of action profile {profile} is used by a table entry"
            )
        del state.members[member_id]

    def read_members(self, profile: str) -> Iterator[tuple[int, Action]]:
        yield from list(self._profile(profile).members.items())

    def insert_group(self, profile: str, group_id: int, members: Sequence[GroupMember]) -> None:
        state = self._profile(profile)
        if group_id in state.groups:
            raise DataplaneError(Status.ALREADY_EXISTS, f"action profile {profile} has a group {group_id} already")
        for member in members:
            self._member(profile, member.member_id)
        state.groups[group_id] = tuple(members)

    def modify_group(self, profile: str, group_id: int, members: Sequence[GroupMember]) -> None:
        self._group(profile, group_id)
        for member in members:
            self._member(profile, member.member_id)
        self._profile(profile).groups[group_id] = tuple(members)

    def delete_group(self, profile: str, group_id: int) -> None:
        state = self._profile(profile)
        self._group(profile, group_id)
        if state.uses[GroupRef(group_id)]:
            raise DataplaneError(
                Status.FAILED_PRECONDITION, f"group {group_id} of action profile {profile} is used by a table entry"
            )
        del state.groups[group_id]

    def read_groups(self, profile: str) -> Iterator[tuple[int, Sequence[GroupMember]]]:
        yield from list(self._profile(profile).groups.items())

    def _profile(self, name: str) -> _Profile:
        profile = self._profiles.get(name)
        if profile is None:
            raise DataplaneError(Status.NOT_FOUND, f"no action profile {name}")
        return profile

    def _member(self, profile: str, member_id: int) -> None:
        if member_id not in self._profile(profile).members:
            raise DataplaneError(Status.NOT_FOUND, f"action profile {profile} has no member {member_id}")

    def _group(self, profile: str, group_id: int) -> None:
        if group_id not in self._profile(profile).groups:
            raise DataplaneError(Status.NOT_FOUND, f"action profile {profile} has no group {group_id}")

    # -- indexed state

    def read_counter(self, counter: str, index: int | None) -> Sequence[Counter]:
        return self._counters[counter].read(index)

    def write_counter(self, counter: str, index: int | None, value: Counter) -> None:
        self._counters[counter].write(index, value)

    def read_register(self, register: str, index: int | None) -> Sequence[int]:
        return self._registers[register].read(index)

    def write_register(self, register: str, index: int | None, value: int) -> None:
        self._registers[register].write(index, value & (1 << self._widths[register]) - 1)

    def read_meter(self, meter: str, index: int | None) -> Sequence[MeterState]:
        return self._meters[meter].read(index)

    def write_meter(self, meter: str, index: int | None, config: MeterConfig | None) -> None:
        self._meters[meter].write(index, replace(GREEN, config=config))

    def clear_meter(self, meter: str, index: int | None) -> None:
        pass

    # -- value sets and digests

    def write_value_set(self, value_set: str, members: Sequence[Match], fields: Sequence[ValueSetField]) -> None:
        self.value_sets[value_set] = tuple(members)

    def configure_digest(self, digest: str, config: DigestConfig | None) -> None:
        self.digests.pop(digest, None)
        if config is not None:
            self.digests[digest] = config

    def acknowledge_digest(self, digest: str, list_id: int) -> None:
        self.acknowledged.append((digest, list_id))

    def on_digest(self, handler: DigestHandler) -> None:
        self.digest_handler = handler

    # -- replication

    def set_multicast_group(
        self, group: int, replicas: Sequence[Replica], backups: Sequence[Sequence[Replica]] = ()
    ) -> None:
        self.multicast_groups.pop(group, None)
        self.backup_replicas.pop(group, None)
        if replicas:
            self.multicast_groups[group] = tuple(replicas)
        if any(backups):
            self.backup_replicas[group] = tuple(tuple(backup) for backup in backups)

    def set_clone_session(
        self, session: int, replicas: Sequence[Replica], truncate: int = 0, class_of_service: int = 0
    ) -> None:
        self.clone_sessions.pop(session, None)
        if replicas:
            self.clone_sessions[session] = (tuple(replicas), truncate, class_of_service)

    # -- packets

    def packet_out(self, frame: bytes) -> None:
        self.packets_out.append(frame)

    def on_packet_in(self, handler: PacketInHandler) -> None:
        self.packet_in_handler = handler

    def close(self) -> None:
        self._ports.clear()
