"""The calls on counters, meters, registers and parser value sets."""

from __future__ import annotations

from collections.abc import Iterator

from p4switch.bmv2 import model
from p4switch.codegen.program import key_width
from p4switch.dataplane import Counter, Match, ValueSetField
from p4switch.thrift.attached import ascending
from p4switch.thrift.calls import Calls
from p4switch.thrift.services import (
    CounterValue,
    InvalidCounterOperation,
    InvalidMeterOperation,
    InvalidParseVSetOperation,
    InvalidRegisterOperation,
    MeterRate,
)
from p4switch.thrift.state import number_of

UNKNOWN_NAME, INVALID_INDEX, BAD_RATES, BAD_RATE = 1, 2, 3, 4


_MOST = (1 << 63) - 1


def _int64(value: int) -> int:
    """As Thrift's i64 carries it: what is too large is the largest, as in BMv2."""
    return min(value, _MOST)


class ArrayCalls(Calls):
    # -- counters

    def _counter(self, name: str, index: int | None) -> None:
        known = self.state.program.objects.counters
        if name not in known:
            raise InvalidCounterOperation(UNKNOWN_NAME)
        if index is not None and not 0 <= index < known[name][1]:
            raise InvalidCounterOperation(INVALID_INDEX)

    def bm_counter_read(self, counter_name: str, index: int) -> CounterValue:
        with self.state.lock:
            self._counter(counter_name, index)
            value = self.state.dataplane.read_counter(counter_name, index)[0]
            return CounterValue(value.bytes, value.packets)

    def bm_counter_write(self, counter_name: str, index: int, value: CounterValue) -> None:
        with self.state.lock:
            self._counter(counter_name, index)
            self.state.dataplane.write_counter(counter_name, index, Counter(value.packets, value.bytes))

    def bm_counter_reset_all(self, counter_name: str) -> None:
        with self.state.lock:
            self._counter(counter_name, None)
            self.state.dataplane.write_counter(counter_name, None, Counter(0, 0))

    # -- meters

    def _meter(self, name: str, index: int | None) -> model.Meter:
        meter = self.state.program.objects.program.meters.get(name)
        if meter is None:
            raise InvalidMeterOperation(UNKNOWN_NAME)
        if index is not None and not 0 <= index < meter.size:
            raise InvalidMeterOperation(INVALID_INDEX)
        return meter

    def _set_rates(self, name: str, index: int | None, rates: list[MeterRate]) -> None:
        with self.state.lock:
            meter = self._meter(name, index)
            if len(rates) != meter.rates:
                raise InvalidMeterOperation(BAD_RATES)
            if not ascending(rates):
                raise InvalidMeterOperation(BAD_RATE)
            if meter.table is None:
                self.meters.set(name, index, rates)
                return
            cells = self.state.program.cells(name)
            if index is None:
                cells.set_all(rates)
            else:
                cells.set(index, rates)
            for handle, match in self._entries(meter.table):
                if index is None or number_of(handle) == index:
                    self.meters.set_direct(meter.table, match, rates)

    def _entries(self, table: str) -> Iterator[tuple[int, Match]]:
        return self.state.entries(self.state.program.objects.tables[table])

    def bm_meter_array_set_rates(self, meter_array_name: str, rates: list[MeterRate]) -> None:
        self._set_rates(meter_array_name, None, rates)

    def bm_meter_set_rates(self, meter_array_name: str, index: int, rates: list[MeterRate]) -> None:
        self._set_rates(meter_array_name, index, rates)

    def bm_meter_get_rates(self, meter_array_name: str, index: int) -> list[MeterRate]:
        with self.state.lock:
            meter = self._meter(meter_array_name, index)
            if meter.table is None:
                return self.meters.get(meter_array_name, index, meter.rates)
            for handle, match in self._entries(meter.table):
                if number_of(handle) == index:
                    return self.meters.get_direct(meter.table, match, meter.rates)
            return self.state.program.cells(meter_array_name).get(index)

    # -- registers

    def _register(self, name: str, index: int | None) -> model.Register:
        register = self.state.program.objects.program.registers.get(name)
        if register is None:
            raise InvalidRegisterOperation(UNKNOWN_NAME)
        if index is not None and not 0 <= index < register.size:
            raise InvalidRegisterOperation(INVALID_INDEX)
        return register

    def bm_register_read(self, register_array_name: str, index: int) -> int:
        with self.state.lock:
            self._register(register_array_name, index)
            return _int64(self.state.dataplane.read_register(register_array_name, index)[0])

    def bm_register_read_all(self, register_array_name: str) -> list[int]:
        with self.state.lock:
            self._register(register_array_name, None)
            return [_int64(value) for value in self.state.dataplane.read_register(register_array_name, None)]

    def bm_register_write(self, register_array_name: str, index: int, value: int) -> None:
        with self.state.lock:
            width = self._register(register_array_name, index).width
            self.state.dataplane.write_register(register_array_name, index, value & ((1 << width) - 1))

    def bm_register_write_range(self, register_array_name: str, start_index: int, end_index: int, value: int) -> None:
        """`end_index` is behind the last."""
        with self.state.lock:
            register = self._register(register_array_name, None)
            if not 0 <= start_index < end_index <= register.size:
                raise InvalidRegisterOperation(INVALID_INDEX)
            for index in range(start_index, end_index):
                self.state.dataplane.write_register(register_array_name, index, value & ((1 << register.width) - 1))

    def bm_register_reset(self, register_array_name: str) -> None:
        with self.state.lock:
            self._register(register_array_name, None)
            self.state.dataplane.write_register(register_array_name, None, 0)

    # -- parser value sets

    def _value_set(self, name: str) -> list[bytes]:
        members = self.state.program.value_sets.get(name)
        if members is None:
            raise InvalidParseVSetOperation(UNKNOWN_NAME)
        return members

    def _write_value_set(self, name: str) -> None:
        """Members as the data plane compares them: each field of the select's key padded to bytes."""
        program = self.state.program.objects.program
        widths = [program.value_sets[name].width]
        for state in program.parser.states.values():
            if any(case.value_set == name for case in state.cases):
                widths = [key_width(item) for item in state.key]
        padded: list[Match] = []
        for member in self._value_set(name):
            value, text = int.from_bytes(member, "big"), b""
            for width in reversed(widths):
                text = (value & ((1 << width) - 1)).to_bytes((width + 7) // 8, "big") + text
                value >>= width
            padded.append(Match(text))
        fields = [ValueSetField((width + 7) // 8) for width in widths]
        self.state.dataplane.write_value_set(name, padded, fields)

    def bm_parse_vset_add(self, parse_vset_name: str, value: bytes) -> None:
        with self.state.lock:
            members = self._value_set(parse_vset_name)
            if value not in members:
                members.append(value)
                self._write_value_set(parse_vset_name)

    def bm_parse_vset_remove(self, parse_vset_name: str, value: bytes) -> None:
        with self.state.lock:
            members = self._value_set(parse_vset_name)
            if value in members:
                members.remove(value)
                self._write_value_set(parse_vset_name)

    def bm_parse_vset_get(self, parse_vset_name: str) -> list[bytes]:
        with self.state.lock:
            return list(self._value_set(parse_vset_name))

    def bm_parse_vset_clear(self, parse_vset_name: str) -> None:
        with self.state.lock:
            self._value_set(parse_vset_name).clear()
            self._write_value_set(parse_vset_name)
