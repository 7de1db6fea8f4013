"""The calls on tables: direct ones, and those of an action profile's members and groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from p4switch.bmv2 import model
from p4switch.dataplane import (
    Action,
    Counter,
    DataplaneError,
    Entry,
    GroupRef,
    Match,
    MemberRef,
    Status,
    TableAction,
)
from p4switch.native.objects import TableInfo
from p4switch.thrift.attached import ascending, attributes_of
from p4switch.thrift.calls import Calls
from p4switch.thrift.keys import from_action, from_match, to_action, to_match
from p4switch.thrift.services import (
    ActionEntry,
    ActionEntryType,
    AddEntryOptions,
    CounterValue,
    EntryLife,
    InvalidTableOperation,
    MatchParam,
    MeterRate,
    MtEntry,
    TableError,
)
from p4switch.thrift.state import Handles, InvalidHandle


def refused(code: TableError) -> InvalidTableOperation:
    return InvalidTableOperation(code.value)


class TableCalls(Calls):
    """`bm_mt_…` but for the action profiles' own calls."""

    # -- finding things

    def _table(self, name: str) -> tuple[TableInfo, model.Table]:
        objects = self.state.program.objects
        info = objects.tables.get(name)
        if info is None:
            raise refused(TableError.INVALID_TABLE_NAME)
        return info, next(table for table in objects.program.tables() if table.name == name)

    def _direct(self, name: str) -> tuple[TableInfo, model.Table]:
        info, table = self._table(name)
        if info.profile is not None:
            raise refused(TableError.WRONG_TABLE_TYPE)
        return info, table

    def _indirect(self, name: str, *, selector: bool = False) -> tuple[TableInfo, model.Table]:
        info, table = self._table(name)
        if info.profile is None or (selector and not self.state.program.objects.profiles[info.profile].selector):
            raise refused(TableError.WRONG_TABLE_TYPE)
        return info, table

    def _match(self, info: TableInfo, handle: int) -> Match:
        handles = self.state.program.handles[info.name]
        try:
            return handles.match(handle)
        except InvalidHandle:
            for _ in self.state.entries(info):  # it may have come over P4Runtime
                pass
        try:
            return handles.match(handle)
        except InvalidHandle as error:
            raise refused(TableError.EXPIRED_HANDLE if error.expired else TableError.INVALID_HANDLE) from None

    def _place(self, info: TableInfo, handle: int) -> Match:
        """The entry that is in a handle's place now, whichever it was when the handle was given out: as BMv2 finds counters
        and meters."""
        current = self.state.program.handles[info.name].current(handle)
        return self._match(info, handle if current is None else current)

    def _params(self, table: model.Table, name: str) -> Sequence[model.ActionParam]:
        program = self.state.program.objects.program
        for number in table.actions:
            if program.actions[number].name == name:
                return program.actions[number].params
        raise refused(TableError.INVALID_ACTION_NAME)

    @contextmanager
    def _explained(self, info: TableInfo, missing: TableError = TableError.INVALID_HANDLE) -> Iterator[None]:
        """The data plane's refusals in BMv2's codes."""
        try:
            yield
        except DataplaneError as error:
            self.log_refusal(error)
            codes = {
                Status.NOT_FOUND: missing,
                Status.ALREADY_EXISTS: TableError.DUPLICATE_ENTRY,
                Status.RESOURCE_EXHAUSTED: TableError.TABLE_FULL,
                Status.INVALID_ARGUMENT: TableError.BAD_MATCH_KEY,
                Status.FAILED_PRECONDITION: TableError.IMMUTABLE_TABLE_ENTRIES
                if info.immutable
                else TableError.NO_TABLE_KEY,
            }
            raise refused(codes[error.status]) from None

    # -- writing

    def _add(
        self,
        info: TableInfo,
        table: model.Table,
        key: Sequence[MatchParam],
        options: AddEntryOptions,
        action: TableAction,
        missing: TableError,
    ) -> int:
        match = to_match(info, table, key, options)
        with self._explained(info, missing):
            self.state.dataplane.insert_entry(info.name, match, action)
        if any(param.lpm is not None for param in key):
            if from_match(info, table, match)[0] == list(key):
                self.state.program.prefixes.pop((info.name, match), None)
            else:
                self.state.program.prefixes[info.name, match] = list(key)
        handle = self.state.program.handles[info.name].add(match)
        if table.meter is not None and (rates := self.state.program.cells(table.meter).get(handle)):
            self.meters.set_direct(info.name, match, rates)
        return handle

    @staticmethod
    def _check_mutable(info: TableInfo) -> None:
        if info.immutable:
            raise refused(TableError.IMMUTABLE_TABLE_ENTRIES)

    def _modify(self, info: TableInfo, handle: int, action: TableAction, missing: TableError) -> None:
        self._check_mutable(info)
        match = self._match(info, handle)
        entry = self.state.dataplane.read_entry(info.name, match)
        if entry is None:
            raise refused(TableError.INVALID_HANDLE)
        with self._explained(info, missing):
            self.state.dataplane.modify_entry(info.name, match, action, attributes_of(entry))

    def _delete(self, info: TableInfo, handle: int) -> None:
        self._check_mutable(info)
        match = self._match(info, handle)
        with self._explained(info):
            self.state.dataplane.delete_entry(info.name, match)
        self.state.program.handles[info.name].remove(match)

    def bm_mt_add_entry(
        self,
        table_name: str,
        match_key: list[MatchParam],
        action_name: str,
        action_data: list[bytes],
        options: AddEntryOptions,
    ) -> int:
        with self.state.lock:
            info, table = self._direct(table_name)
            action = to_action(self._params(table, action_name), action_name, action_data)
            return self._add(info, table, match_key, options, action, TableError.ERROR)

    def bm_mt_modify_entry(
        self, table_name: str, entry_handle: int, action_name: str, action_data: list[bytes]
    ) -> None:
        with self.state.lock:
            info, table = self._direct(table_name)
            action = to_action(self._params(table, action_name), action_name, action_data)
            self._modify(info, entry_handle, action, TableError.INVALID_HANDLE)

    def bm_mt_delete_entry(self, table_name: str, entry_handle: int) -> None:
        with self.state.lock:
            self._delete(self._direct(table_name)[0], entry_handle)

    def bm_mt_clear_entries(self, table_name: str, reset_default_entry: bool) -> None:
        with self.state.lock:
            info, _ = self._table(table_name)
            self._check_mutable(info)
            for handle, _match in list(self.state.entries(info)):
                self._delete(info, handle)
            self.state.program.handles[info.name] = Handles()  # numbered from the start again, as in BMv2
            if reset_default_entry:
                with self._explained(info):
                    self.state.dataplane.set_default_action(info.name, None)

    def _set_default(self, info: TableInfo, table: model.Table, action: TableAction, missing: TableError) -> None:
        program = self.state.program.objects.program
        if table.default_const:
            raise refused(TableError.DEFAULT_ENTRY_IS_CONST)
        if table.default_action_const and table.default is not None:
            fixed = program.actions[table.default.action_id].name
            if not isinstance(action, Action) or action.name != fixed:
                raise refused(TableError.DEFAULT_ACTION_IS_CONST)
        with self._explained(info, missing):
            self.state.dataplane.set_default_action(info.name, action)

    def bm_mt_set_default_action(self, table_name: str, action_name: str, action_data: list[bytes]) -> None:
        with self.state.lock:
            info, table = self._direct(table_name)
            action = to_action(self._params(table, action_name), action_name, action_data)
            self._set_default(info, table, action, TableError.ERROR)

    def bm_mt_reset_default_entry(self, table_name: str) -> None:
        with self.state.lock:
            self._reset_default(*self._direct(table_name))

    def bm_mt_indirect_reset_default_entry(self, table_name: str) -> None:
        with self.state.lock:
            self._reset_default(*self._indirect(table_name))

    def _reset_default(self, info: TableInfo, table: model.Table) -> None:
        if not table.default_const:
            with self._explained(info):
                self.state.dataplane.set_default_action(info.name, None)

    def bm_mt_indirect_add_entry(
        self, table_name: str, match_key: list[MatchParam], mbr_handle: int, options: AddEntryOptions
    ) -> int:
        with self.state.lock:
            info, table = self._indirect(table_name)
            member = self._member(info, mbr_handle)
            return self._add(info, table, match_key, options, member, TableError.INVALID_MBR_HANDLE)

    def bm_mt_indirect_modify_entry(self, table_name: str, entry_handle: int, mbr_handle: int) -> None:
        with self.state.lock:
            info, _ = self._indirect(table_name)
            self._modify(info, entry_handle, self._member(info, mbr_handle), TableError.INVALID_MBR_HANDLE)

    def bm_mt_indirect_delete_entry(self, table_name: str, entry_handle: int) -> None:
        with self.state.lock:
            self._delete(self._indirect(table_name)[0], entry_handle)

    def bm_mt_indirect_set_default_member(self, table_name: str, mbr_handle: int) -> None:
        with self.state.lock:
            info, table = self._indirect(table_name)
            self._set_default(info, table, MemberRef(mbr_handle & 0xFFFFFFFF), TableError.INVALID_MBR_HANDLE)

    def _member(self, info: TableInfo, handle: int) -> MemberRef:
        """A member that may be pointed at; BMv2 looks for it before it looks for the entry."""
        assert info.profile is not None
        if all(number != handle & 0xFFFFFFFF for number, _ in self.state.dataplane.read_members(info.profile)):
            raise refused(TableError.INVALID_MBR_HANDLE)
        return MemberRef(handle & 0xFFFFFFFF)

    def _group(self, info: TableInfo, handle: int, *, empty: bool = False) -> GroupRef:
        """A group that may be pointed at: an entry's must have members."""
        assert info.profile is not None
        for number, members in self.state.dataplane.read_groups(info.profile):
            if number == handle & 0xFFFFFFFF:
                if not members and not empty:
                    raise refused(TableError.EMPTY_GRP)
                return GroupRef(number)
        raise refused(TableError.INVALID_GRP_HANDLE)

    def bm_mt_indirect_ws_add_entry(
        self, table_name: str, match_key: list[MatchParam], grp_handle: int, options: AddEntryOptions
    ) -> int:
        with self.state.lock:
            info, table = self._indirect(table_name, selector=True)
            group = self._group(info, grp_handle)
            return self._add(info, table, match_key, options, group, TableError.INVALID_GRP_HANDLE)

    def bm_mt_indirect_ws_modify_entry(self, table_name: str, entry_handle: int, grp_handle: int) -> None:
        with self.state.lock:
            info, _ = self._indirect(table_name, selector=True)
            self._modify(info, entry_handle, self._group(info, grp_handle), TableError.INVALID_GRP_HANDLE)

    def bm_mt_indirect_ws_set_default_group(self, table_name: str, grp_handle: int) -> None:
        with self.state.lock:
            info, table = self._indirect(table_name, selector=True)
            self._set_default(info, table, self._group(info, grp_handle, empty=True), TableError.INVALID_GRP_HANDLE)

    # -- reading

    def bm_mt_get_num_entries(self, table_name: str) -> int:
        with self.state.lock:
            info, _ = self._table(table_name)
            return sum(1 for _ in self.state.dataplane.read_entries(info.name))

    def _action_entry(self, table: model.Table, action: TableAction | None) -> ActionEntry:
        match action:
            case None:
                return ActionEntry(ActionEntryType.NONE)
            case MemberRef(number):
                return ActionEntry(ActionEntryType.MBR_HANDLE, mbr_handle=number)
            case GroupRef(number):
                return ActionEntry(ActionEntryType.GRP_HANDLE, grp_handle=number)
        data = from_action(self._params(table, action.name), action)
        return ActionEntry(ActionEntryType.ACTION_DATA, action_name=action.name, action_data=data)

    def _entry(self, info: TableInfo, table: model.Table, handle: int, entry: Entry) -> MtEntry:
        key, options = from_match(info, table, entry.match)
        key = self.state.program.prefixes.get((info.name, entry.match), key)
        life = None
        if table.support_timeout:
            timeout, since = self.idle.life(entry)
            life = EntryLife(timeout, since) if timeout else None
        return MtEntry(key, options, handle, self._action_entry(table, entry.action), life)

    def bm_mt_get_entries(self, table_name: str) -> list[MtEntry]:
        with self.state.lock:
            info, table = self._table(table_name)
            handles = {match: handle for handle, match in self.state.entries(info)}
            found = {entry.match: entry for entry in self.state.dataplane.read_entries(info.name)}
            return [
                self._entry(info, table, handle, found[match]) for match, handle in handles.items() if match in found
            ]

    def bm_mt_get_entry(self, table_name: str, entry_handle: int) -> MtEntry:
        with self.state.lock:
            info, table = self._table(table_name)
            match = self._match(info, entry_handle)
            entry = self.state.dataplane.read_entry(info.name, match)
            if entry is None:
                raise refused(TableError.INVALID_HANDLE)
            return self._entry(info, table, entry_handle, entry)

    def bm_mt_get_entry_from_key(
        self, table_name: str, match_key: list[MatchParam], options: AddEntryOptions
    ) -> MtEntry:
        with self.state.lock:
            info, table = self._table(table_name)
            match = to_match(info, table, match_key, options)
            entry = self.state.dataplane.read_entry(info.name, match)
            if entry is None:
                raise refused(TableError.BAD_MATCH_KEY)
            handle = self.state.program.handles[info.name].add(match)
            return self._entry(info, table, handle, entry)

    def bm_mt_get_default_entry(self, table_name: str) -> ActionEntry:
        with self.state.lock:
            info, table = self._table(table_name)
            action = self.state.dataplane.default_action(info.name)
            return self._action_entry(table, action)

    # -- what entries carry

    def _counted(self, table_name: str) -> TableInfo:
        info, _ = self._table(table_name)
        if not info.counters:
            raise refused(TableError.COUNTERS_DISABLED)
        return info

    def bm_mt_read_counter(self, table_name: str, entry_handle: int) -> CounterValue:
        with self.state.lock:
            info = self._counted(table_name)
            entry = self.state.dataplane.read_entry(info.name, self._place(info, entry_handle))
            if entry is None or entry.counter is None:
                raise refused(TableError.INVALID_HANDLE)
            return CounterValue(entry.counter.bytes, entry.counter.packets)

    def bm_mt_write_counter(self, table_name: str, entry_handle: int, value: CounterValue) -> None:
        with self.state.lock:
            info = self._counted(table_name)
            with self._explained(info):
                self.state.dataplane.write_direct_counter(
                    info.name, self._place(info, entry_handle), Counter(value.packets, value.bytes)
                )

    def bm_mt_reset_counters(self, table_name: str) -> None:
        with self.state.lock:
            info = self._counted(table_name)
            for _, match in list(self.state.entries(info)):
                with self._explained(info):
                    self.state.dataplane.write_direct_counter(info.name, match, Counter(0, 0))

    def _metered(self, table_name: str) -> tuple[TableInfo, model.Meter]:
        info, table = self._table(table_name)
        if table.meter is None:
            raise refused(TableError.METERS_DISABLED)
        return info, self.state.program.objects.program.meters[table.meter]

    def bm_mt_set_meter_rates(self, table_name: str, entry_handle: int, rates: list[MeterRate]) -> None:
        with self.state.lock:
            info, meter = self._metered(table_name)
            if len(rates) != meter.rates:
                raise refused(TableError.INVALID_METER_OPERATION)
            match = self._place(info, entry_handle)
            if not ascending(rates):
                raise refused(TableError.ERROR)
            with self._explained(info):
                self.meters.set_direct(info.name, match, rates)
            self.state.program.cells(meter.name).set(entry_handle, rates)

    def bm_mt_get_meter_rates(self, table_name: str, entry_handle: int) -> list[MeterRate]:
        with self.state.lock:
            info, meter = self._metered(table_name)
            return self.meters.get_direct(info.name, self._place(info, entry_handle), meter.rates)

    def bm_mt_set_entry_ttl(self, table_name: str, entry_handle: int, timeout_ms: int) -> None:
        with self.state.lock:
            info, table = self._table(table_name)
            if not table.support_timeout:
                raise refused(TableError.AGEING_DISABLED)
            match = self._match(info, entry_handle)
            with self._explained(info):
                self.idle.set_timeout(info.name, match, timeout_ms)

    bm_mt_indirect_set_entry_ttl = bm_mt_set_entry_ttl
