"""State that is reached by index: counters and registers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from p4base.messages import p4r
from p4switch.dataplane import Dataplane
from p4switch.service import wire
from p4switch.service.cells import cells_to_wire
from p4switch.service.entity import (
    COUNTER_ENTRY,
    MODIFY,
    REGISTER_ENTRY,
    Emit,
    ReadScope,
    answer,
)
from p4switch.service.errors import Code, P4Error, invalid
from p4switch.service.meters import counter_to_wire
from p4switch.service.p4data import Codec, pack, unpack
from p4switch.service.table_entry import counter_value

_answer_counter = answer(COUNTER_ENTRY)
_answer_register = answer(REGISTER_ENTRY)


class Array(msgspec.Struct, frozen=True):
    """An indirect counter or register: `size` cells. `codec` is a register's, None if its type is not one that it can hold."""

    id: int
    kind: str
    name: str
    size: int
    codec: Codec | None = None

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
        codec = self._codec(array)
        values = codec.decode(message.data, f"register {array.name}")
        self._dataplane.write_register(array.name, index, pack(values, codec.widths))

    def read(self, message: p4r.RegisterEntry, scope: ReadScope, emit: Emit) -> None:
        for array in self._selected(message.register_id, scope):
            if array.codec is None and not message.register_id:
                continue
            index = array.index(message) if message.register_id else None
            cells = self._dataplane.read_register(array.name, index)
            for part in cells_to_wire(array.id, index or 0, cells, self._cell_to_wire(array), _answer_register):
                emit(part)

    def snapshot(self, message: p4r.RegisterEntry) -> Iterable[p4r.Entity]:
        array = self._find(message.register_id)
        index = array.index(message)
        to_wire = self._cell_to_wire(array)
        for i, cell in enumerate(self._dataplane.read_register(array.name, index), index or 0):
            entity = p4r.Entity()
            entry = _cell_head(array, i) + wire.bytes_field(3, to_wire(cell))
            entity.register_entry.ParseFromString(entry)
            yield entity

    def _cell_to_wire(self, array: Array) -> Callable[[int], bytes]:
        codec = self._codec(array)
        widths, to_wire = codec.widths, codec.to_wire
        return lambda cell: to_wire(unpack(cell, widths))

    @staticmethod
    def _codec(array: Array) -> Codec:
        if array.codec is None:
            raise P4Error(Code.UNIMPLEMENTED, f"register {array.name} holds a type that this device does not know")
        return array.codec
