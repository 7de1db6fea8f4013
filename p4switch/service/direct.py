"""What is reached by a table entry's key: direct counters and direct meters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from p4base.messages import p4r
from p4switch.dataplane import Dataplane, Entry
from p4switch.service import wire
from p4switch.service.entity import (
    DIRECT_COUNTER_ENTRY,
    DIRECT_METER_ENTRY,
    MODIFY,
    Emit,
    ReadScope,
    answer,
)
from p4switch.service.errors import Code, P4Error, invalid
from p4switch.service.meters import MeterPlan, check_cleared, colours_to_wire, config_to_wire, counter_to_wire
from p4switch.service.table_entry import Table, TableEntryHandler, counter_value, key_to_wire

_answer_counter = answer(DIRECT_COUNTER_ENTRY)
_answer_meter = answer(DIRECT_METER_ENTRY)

M = TypeVar("M", p4r.DirectCounterEntry, p4r.DirectMeterEntry)


class _Direct(ABC, Generic[M]):
    """Finding the table and its entries."""

    noun: str

    def __init__(self, tables: Mapping[int, Table], entries: TableEntryHandler, dataplane: Dataplane) -> None:
        self._tables = tables
        self._entries = entries
        self._dataplane = dataplane

    @abstractmethod
    def _has(self, table: Table) -> bool: ...
    @abstractmethod
    def _to_wire(self, table: Table, entry: Entry, message: M) -> bytes: ...

    def p4_id(self, message: M) -> int:
        return message.table_entry.table_id

    def read(self, message: M, scope: ReadScope, emit: Emit) -> None:
        key = message.table_entry
        if not key.table_id:
            for table in self._tables.values():
                if self._has(table) and scope.sees(table.id):
                    for entry in self._dataplane.read_entries(table.name):
                        emit(self._to_wire(table, entry, message))
            return
        table = self._find(key)
        scope.check(table.id, table.name)
        if len(key.match) or key.priority:
            emit(self._to_wire(table, self._entry(table, key), message))
            return
        for entry in self._dataplane.read_entries(table.name):
            emit(self._to_wire(table, entry, message))

    def _find(self, key: p4r.TableEntry) -> Table:
        table = self._entries.find(key.table_id)
        if not self._has(table):
            raise invalid(f"table {table.name} has no direct {self.noun}")
        if key.is_default_action:
            raise P4Error(
                Code.UNIMPLEMENTED, f"table {table.name}: the default entry has no direct {self.noun} on this device"
            )
        return table

    def _entry(self, table: Table, key: p4r.TableEntry) -> Entry:
        entry = None
        if table.match.knows(key.match):
            entry = self._dataplane.read_entry(table.name, table.match.encode(key.match, key.priority))
        if entry is None:
            raise P4Error(Code.NOT_FOUND, f"table {table.name} has no entry with this key")
        return entry

    def _present(self, key: p4r.TableEntry) -> Iterator[tuple[Table, Entry]]:
        """The entry, if it is there."""
        table = self._find(key)
        entry = self._dataplane.read_entry(table.name, table.match.encode(key.match, key.priority))
        if entry is not None:
            yield table, entry


class DirectCounterHandler(_Direct[p4r.DirectCounterEntry]):
    """`DirectCounterEntry`."""

    noun = "counter"

    def _has(self, table: Table) -> bool:
        return table.direct_counter

    def _to_wire(self, table: Table, entry: Entry, message: p4r.DirectCounterEntry) -> bytes:
        body = wire.bytes_field(1, key_to_wire(table, entry.match))
        if entry.counter is not None:
            body += wire.bytes_field(2, counter_to_wire(entry.counter))
        return _answer_counter(body)

    def write(self, kind: int, message: p4r.DirectCounterEntry) -> None:
        if kind != MODIFY:
            raise invalid("a direct counter can only be modified")
        table = self._find(message.table_entry)
        entry = self._entry(table, message.table_entry)
        if message.HasField("data"):
            value = counter_value(message.data, f"table {table.name}")
            self._dataplane.write_direct_counter(table.name, entry.match, value)

    def snapshot(self, message: p4r.DirectCounterEntry) -> Iterable[p4r.Entity]:
        for _, entry in self._present(message.table_entry):
            if entry.counter is not None:
                entity = p4r.Entity()
                entity.direct_counter_entry.table_entry.CopyFrom(message.table_entry)
                entity.direct_counter_entry.data.ParseFromString(counter_to_wire(entry.counter))
                yield entity


class DirectMeterHandler(_Direct[p4r.DirectMeterEntry]):
    """`DirectMeterEntry`."""

    noun = "meter"

    def _has(self, table: Table) -> bool:
        return table.direct_meter is not None

    def _to_wire(self, table: Table, entry: Entry, message: p4r.DirectMeterEntry) -> bytes:
        body = wire.bytes_field(1, key_to_wire(table, entry.match))
        if entry.meter is not None and entry.meter.config is not None:
            body += wire.bytes_field(2, config_to_wire(entry.meter.config))
        if entry.meter is not None and message.HasField("counter_data"):
            body += wire.bytes_field(3, colours_to_wire(entry.meter))
        return _answer_meter(body)

    def write(self, kind: int, message: p4r.DirectMeterEntry) -> None:
        if kind != MODIFY:
            raise invalid("a direct meter can only be modified")
        table = self._find(message.table_entry)
        plan = table.direct_meter
        assert isinstance(plan, MeterPlan)
        config = plan.decode(message.config) if message.HasField("config") else None
        check_cleared(message.counter_data, f"table {table.name}")
        entry = self._entry(table, message.table_entry)
        self._dataplane.write_direct_meter(table.name, entry.match, config)
        if message.HasField("counter_data"):
            self._dataplane.clear_direct_meter(table.name, entry.match)

    def snapshot(self, message: p4r.DirectMeterEntry) -> Iterable[p4r.Entity]:
        for _, entry in self._present(message.table_entry):
            entity = p4r.Entity()
            entity.direct_meter_entry.table_entry.CopyFrom(message.table_entry)
            if entry.meter is not None and entry.meter.config is not None:
                entity.direct_meter_entry.config.ParseFromString(config_to_wire(entry.meter.config))
            yield entity
