"""Meters: configurations, colour counters and `MeterEntry` (specification, "MeterEntry & DirectMeterEntry")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from p4base.messages import p4i, p4r
from p4switch.dataplane import Counter, Dataplane, MeterConfig, MeterState
from p4switch.service import wire
from p4switch.service.entity import METER_ENTRY, MODIFY, Emit, ReadScope, answer
from p4switch.service.errors import Code, P4Error, invalid

_answer_meter = answer(METER_ENTRY)

_SPEC_TYPE = p4i.MeterSpec.Type

# Field numbers of MeterEntry.
_CONFIG = 3
_COUNTERS = 4


class MeterPlan(msgspec.Struct, frozen=True):
    """The type of one meter: which configurations it takes."""

    name: str
    type: int

    def decode(self, config: p4r.MeterConfig) -> MeterConfig:
        """The data plane's configuration.

        Raises:
            P4Error: INVALID_ARGUMENT; a number is negative, or not one for this type of meter.
        """
        what = f"meter {self.name}"
        for field in ("cir", "cburst", "pir", "pburst", "eburst"):
            if getattr(config, field) < 0:
                raise invalid(f"{what}: {field} {getattr(config, field)} is negative")
        if config.eburst and self.type != _SPEC_TYPE.SINGLE_RATE_THREE_COLOR:
            raise invalid(f"{what}: eburst is for single-rate three-colour meters only")
        if self.type == _SPEC_TYPE.TWO_RATE_THREE_COLOR:
            if config.pir < config.cir:
                raise invalid(f"{what}: pir {config.pir} is below cir {config.cir}")
        elif config.pir != config.cir or config.pburst != config.cburst:
            raise invalid(f"{what} has a single rate: pir and pburst must be equal to cir and cburst")
        return MeterConfig(
            cir=config.cir,
            cburst=config.cburst,
            pir=config.pir,
            pburst=config.pburst,
            eburst=config.eburst,
            single_rate=self.type == _SPEC_TYPE.SINGLE_RATE_THREE_COLOR,
        )


def config_to_wire(config: MeterConfig) -> bytes:
    """The `p4.v1.MeterConfig` message."""
    numbers = (config.cir, config.cburst, config.pir, config.pburst, config.eburst)
    return b"".join(wire.varint_field(i, round(number)) for i, number in enumerate(numbers, 1))


def colours_to_wire(state: MeterState) -> bytes:
    """The `p4.v1.MeterCounterData` message."""
    cells = (state.green, state.yellow, state.red)
    return b"".join(wire.bytes_field(i, counter_to_wire(cell)) for i, cell in enumerate(cells, 1))


def counter_to_wire(counter: Counter) -> bytes:
    """The `p4.v1.CounterData` message."""
    return wire.varint_field(1, counter.bytes) + wire.varint_field(2, counter.packets)


def check_cleared(counters: p4r.MeterCounterData, what: str) -> None:
    """A write of colour counters can only set them to 0."""
    for colour in (counters.green, counters.yellow, counters.red):
        if colour.byte_count or colour.packet_count:
            raise invalid(f"{what}: the counters of a meter's colours can only be set to 0")


def _state_to_wire(state: MeterState, *, with_counters: bool) -> bytes:
    written = b"" if state.config is None else wire.bytes_field(_CONFIG, config_to_wire(state.config))
    return written + wire.bytes_field(_COUNTERS, colours_to_wire(state)) if with_counters else written


class MeterArray(msgspec.Struct, frozen=True):
    """An indirect meter: `size` cells."""

    id: int
    size: int
    plan: MeterPlan

    def index(self, message: p4r.MeterEntry) -> int | None:
        """The index asked for, within bounds; None for all cells."""
        if not message.HasField("index"):
            return None
        index = message.index.index
        if index < 0:
            raise invalid(f"meter {self.plan.name}: index {index} is negative")
        if index >= self.size:
            raise P4Error(Code.OUT_OF_RANGE, f"meter {self.plan.name}: index {index}, expected 0 to {self.size - 1}")
        return index


class MeterHandler:
    """`MeterEntry`."""

    def __init__(self, meters: Mapping[int, MeterArray], dataplane: Dataplane) -> None:
        self._meters = meters
        self._dataplane = dataplane

    def p4_id(self, message: p4r.MeterEntry) -> int:
        return message.meter_id

    def _find(self, meter_id: int) -> MeterArray:
        meter = self._meters.get(meter_id)
        if meter is None:
            raise invalid(f"no meter has the id 0x{meter_id:08x}")
        return meter

    def write(self, kind: int, message: p4r.MeterEntry) -> None:
        meter = self._find(message.meter_id)
        name = meter.plan.name
        if kind != MODIFY:
            raise invalid(f"meter {name}: its cells can only be modified")
        index = meter.index(message)
        config = meter.plan.decode(message.config) if message.HasField("config") else None
        if message.HasField("counter_data"):
            check_cleared(message.counter_data, f"meter {name}")
            self._dataplane.clear_meter(name, index)
        self._dataplane.write_meter(name, index, config)

    def read(self, message: p4r.MeterEntry, scope: ReadScope, emit: Emit) -> None:
        if not message.meter_id:
            meters = [m for m in self._meters.values() if scope.sees(m.id)]
        else:
            meters = [self._find(message.meter_id)]
            scope.check(meters[0].id, meters[0].plan.name)
        with_counters = message.HasField("counter_data")
        for meter in meters:
            index = meter.index(message) if message.meter_id else None
            for i, state in enumerate(self._dataplane.read_meter(meter.plan.name, index), index or 0):
                head = wire.varint_field(1, meter.id) + wire.bytes_field(2, wire.varint_field(1, i))
                emit(_answer_meter(head + _state_to_wire(state, with_counters=with_counters)))

    def snapshot(self, message: p4r.MeterEntry) -> Iterable[p4r.Entity]:
        meter = self._find(message.meter_id)
        index = meter.index(message)
        for i, state in enumerate(self._dataplane.read_meter(meter.plan.name, index), index or 0):
            entity = p4r.Entity(meter_entry=p4r.MeterEntry(meter_id=meter.id, index=p4r.Index(index=i)))
            if state.config is not None:
                entity.meter_entry.config.ParseFromString(config_to_wire(state.config))
            yield entity
