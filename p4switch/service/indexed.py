"""State that is reached by index or beside a table entry: counters, direct counters, registers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from p4base.messages import p4r
from p4switch.dataplane import Counter, Dataplane, Match
from p4switch.service import wire
from p4switch.service.entity import (
    COUNTER_ENTRY,
    DIRECT_COUNTER_ENTRY,
    MODIFY,
    REGISTER_ENTRY,
    Emit,
    ReadScope,
    answer,
)
from p4switch.service.errors import Code, P4Error, invalid
from p4switch.service.p4data import ScalarCodec
from p4switch.service.table_entry import (
    Table,
    TableEntryHandler,
    counter_to_wire,
    counter_value,
    key_to_wire,
)

_answer_counter = answer(COUNTER_ENTRY)
_answer_direct_counter = answer(DIRECT_COUNTER_ENTRY)
_answer_register = answer(REGISTER_ENTRY)


@dataclass(frozen=True, slots=True)
class Array:
    """An indirect counter or register: `size` cells. `codec` is a register's, None if its type is not a scalar."""

    id: int
    kind: str
    name: str
    size: int
    codec: ScalarCodec | None = None

    def index(self, message: p4r.CounterEntry | p4r.RegisterEntry) -> int | None:
        """The index asked for, within bounds; None for all cells."""
        if not message.HasField("index"):
            return None
        index = message.index.index
        if index < 0:
            raise invalid(f"{self.kind} {self.name}: index {index} is negative")
        if index >= self.size:
            raise P4Error(Code.OUT_OF_RANGE, f"{self.kind} {self.name}: index {index}, expected 0 to {self.size - 1}")
        return index


class _Arrays:
    """What the handlers of counters and registers share: finding the array."""

    kind: str

    def __init__(self, arrays: Mapping[int, Array], dataplane: Dataplane) -> None:
        self._arrays = arrays
        self._dataplane = dataplane

    def _find(self, array_id: int) -> Array:
        array = self._arrays.get(array_id)
        if array is None:
            raise invalid(f"no {self.kind} has the id 0x{array_id:08x}")
        return array

    def _selected(self, array_id: int, scope: ReadScope) -> list[Array]:
        if not array_id:
            return [a for a in self._arrays.values() if scope.sees(a.id)]
        array = self._find(array_id)
        scope.check(array.id, array.name)
        return [array]

    def _check_kind(self, kind: int, array: Array) -> None:
        if kind != MODIFY:
            raise invalid(f"{self.kind} {array.name}: its cells can only be modified")


def _cell_head(array: Array, index: int) -> bytes:
    """The id and index fields, which counters and registers number alike."""
    return wire.varint_field(1, array.id) + wire.bytes_field(2, wire.varint_field(1, index))


class CounterHandler(_Arrays):
    """`CounterEntry`."""

    kind = "counter"

    def p4_id(self, message: p4r.CounterEntry) -> int:
        return message.counter_id

    def write(self, kind: int, message: p4r.CounterEntry) -> None:
        array = self._find(message.counter_id)
        self._check_kind(kind, array)
        index = array.index(message)
        if message.HasField("data"):
            value = counter_value(message.data, f"counter {array.name}")
            self._dataplane.write_counter(array.name, index, value)

    def read(self, message: p4r.CounterEntry, scope: ReadScope, emit: Emit) -> None:
        for array in self._selected(message.counter_id, scope):
            index = array.index(message) if message.counter_id else None
            for i, cell in enumerate(self._dataplane.read_counter(array.name, index), index or 0):
                emit(_answer_counter(_cell_head(array, i) + wire.bytes_field(3, counter_to_wire(cell))))

    def snapshot(self, message: p4r.CounterEntry) -> Iterable[p4r.Entity]:
        array = self._find(message.counter_id)
        index = array.index(message)
        for i, cell in enumerate(self._dataplane.read_counter(array.name, index), index or 0):
            data = p4r.CounterData(byte_count=cell.bytes, packet_count=cell.packets)
            entry = p4r.CounterEntry(counter_id=array.id, index=p4r.Index(index=i), data=data)
            yield p4r.Entity(counter_entry=entry)


class RegisterHandler(_Arrays):
    """`RegisterEntry`."""

    kind = "register"

    def p4_id(self, message: p4r.RegisterEntry) -> int:
        return message.register_id

    def write(self, kind: int, message: p4r.RegisterEntry) -> None:
        array = self._find(message.register_id)
        self._check_kind(kind, array)
        index = array.index(message)
        value = self._codec(array).decode(message.data, f"register {array.name}")
        self._dataplane.write_register(array.name, index, value)

    def read(self, message: p4r.RegisterEntry, scope: ReadScope, emit: Emit) -> None:
        for array in self._selected(message.register_id, scope):
            if array.codec is None and not message.register_id:
                continue
            to_wire = self._codec(array).to_wire
            index = array.index(message) if message.register_id else None
            for i, cell in enumerate(self._dataplane.read_register(array.name, index), index or 0):
                emit(_answer_register(_cell_head(array, i) + wire.bytes_field(3, to_wire(cell))))

    def snapshot(self, message: p4r.RegisterEntry) -> Iterable[p4r.Entity]:
        array = self._find(message.register_id)
        index = array.index(message)
        to_wire = self._codec(array).to_wire
        for i, cell in enumerate(self._dataplane.read_register(array.name, index), index or 0):
            entity = p4r.Entity()
            entry = _cell_head(array, i) + wire.bytes_field(3, to_wire(cell))
            entity.register_entry.ParseFromString(entry)
            yield entity

    @staticmethod
    def _codec(array: Array) -> ScalarCodec:
        if array.codec is None:
            raise P4Error(Code.UNIMPLEMENTED, f"register {array.name} holds a type that this device does not know")
        return array.codec


class DirectCounterHandler:
    """`DirectCounterEntry`."""

    def __init__(self, tables: Mapping[int, Table], entries: TableEntryHandler, dataplane: Dataplane) -> None:
        self._tables = tables
        self._entries = entries
        self._dataplane = dataplane

    def p4_id(self, message: p4r.DirectCounterEntry) -> int:
        return message.table_entry.table_id

    def write(self, kind: int, message: p4r.DirectCounterEntry) -> None:
        if kind != MODIFY:
            raise invalid("a direct counter can only be modified")
        table = self._find(message.table_entry)
        match = table.match.encode(message.table_entry.match, message.table_entry.priority)
        if message.HasField("data"):
            value = counter_value(message.data, f"table {table.name}")
            self._dataplane.write_direct_counter(table.name, match, value)
        elif self._dataplane.read_entry(table.name, match) is None:
            raise self._not_found(table)

    def read(self, message: p4r.DirectCounterEntry, scope: ReadScope, emit: Emit) -> None:
        key = message.table_entry
        if not key.table_id:
            tables = [t for t in self._tables.values() if t.direct_counter and scope.sees(t.id)]
        else:
            table = self._find(key)
            scope.check(table.id, table.name)
            if len(key.match) or key.priority:
                match = table.match.encode(key.match, key.priority)
                entry = self._dataplane.read_entry(table.name, match)
                if entry is None:
                    raise self._not_found(table)
                emit(_direct_counter_to_wire(table, entry.match, entry.counter))
                return
            tables = [table]
        for table in tables:
            for entry in self._dataplane.read_entries(table.name):
                emit(_direct_counter_to_wire(table, entry.match, entry.counter))

    def snapshot(self, message: p4r.DirectCounterEntry) -> Iterable[p4r.Entity]:
        key = message.table_entry
        table = self._find(key)
        entry = self._dataplane.read_entry(table.name, table.match.encode(key.match, key.priority))
        if entry is None or entry.counter is None:
            return []
        entity = p4r.Entity()
        entity.direct_counter_entry.table_entry.CopyFrom(key)
        entity.direct_counter_entry.data.byte_count = entry.counter.bytes
        entity.direct_counter_entry.data.packet_count = entry.counter.packets
        return [entity]

    def _find(self, key: p4r.TableEntry) -> Table:
        table = self._entries.find(key.table_id)
        if not table.direct_counter:
            raise invalid(f"table {table.name} has no direct counter")
        if key.is_default_action:
            raise P4Error(
                Code.UNIMPLEMENTED, f"table {table.name}: the default entry has no direct counter on this device"
            )
        return table

    @staticmethod
    def _not_found(table: Table) -> P4Error:
        return P4Error(Code.NOT_FOUND, f"table {table.name} has no entry with this key")


def _direct_counter_to_wire(table: Table, match: Match, counter: Counter | None) -> bytes:
    body = wire.bytes_field(1, key_to_wire(table, match))
    if counter is not None:
        body += wire.bytes_field(2, counter_to_wire(counter))
    return _answer_direct_counter(body)
