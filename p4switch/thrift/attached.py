"""Meters and idle timeouts in BMv2's terms: rates in units a microsecond, times in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from msgspec.structs import replace

from p4switch.dataplane import Attributes, DataplaneError, Entry, Match, MeterConfig, MeterState, Status
from p4switch.native import NativeDataplane
from p4switch.thrift.services import MeterRate

NANOSECONDS = 1_000_000  # of a millisecond


def attributes_of(entry: Entry) -> Attributes:
    """What an entry carries, to be kept when its action changes."""
    meter = entry.meter.config if entry.meter is not None else None
    return Attributes(note=entry.note, idle_timeout_ns=entry.idle_timeout_ns, meter=meter)


def _config(rates: Sequence[MeterRate]) -> MeterConfig | None:
    """Rates from the lowest to the highest; a meter of one rate has no other to offer."""
    if not rates:
        return None
    low, high = rates[0], rates[-1]
    return MeterConfig(low.units_per_micros * 1e6, low.burst_size, high.units_per_micros * 1e6, high.burst_size)


def _rates(state: MeterState | None, count: int) -> list[MeterRate]:
    config = state.config if state is not None else None
    if config is None:
        return []
    both = [MeterRate(config.cir / 1e6, config.cburst), MeterRate(config.pir / 1e6, config.pburst)]
    return both[:count]


def ascending(rates: Sequence[MeterRate]) -> bool:
    """Whether rates go from the lowest to the highest."""
    return all(former.units_per_micros <= later.units_per_micros for former, later in pairwise(rates))


class MeterRates:
    def __init__(self, dataplane: NativeDataplane) -> None:
        self._dataplane = dataplane

    def set(self, meter: str, index: int | None, rates: list[MeterRate]) -> None:
        self._dataplane.write_meter(meter, index, _config(rates))

    def get(self, meter: str, index: int, count: int) -> list[MeterRate]:
        return _rates(self._dataplane.read_meter(meter, index)[0], count)

    def set_direct(self, table: str, match: Match, rates: list[MeterRate]) -> None:
        self._dataplane.write_direct_meter(table, match, _config(rates))

    def get_direct(self, table: str, match: Match, count: int) -> list[MeterRate]:
        entry = self._dataplane.read_entry(table, match)
        return _rates(entry.meter if entry is not None else None, count)


class IdleTimeouts:
    def __init__(self, dataplane: NativeDataplane) -> None:
        self._dataplane = dataplane

    def set_timeout(self, table: str, match: Match, timeout_ms: int) -> None:
        entry = self._dataplane.read_entry(table, match)
        if entry is None:
            raise DataplaneError(Status.NOT_FOUND, f"table {table!r}: there is no such entry")
        attributes = replace(attributes_of(entry), idle_timeout_ns=max(0, timeout_ms) * NANOSECONDS)
        self._dataplane.modify_entry(table, match, entry.action, attributes)

    @staticmethod
    def life(entry: Entry) -> tuple[int, int]:
        """Timeout and time since the last hit, in milliseconds."""
        return entry.idle_timeout_ns // NANOSECONDS, entry.idle_ns // NANOSECONDS
