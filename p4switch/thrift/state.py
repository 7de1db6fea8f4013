"""What the Thrift services keep beside the data plane: handles of entries, and the numbering of members and groups.

BMv2 names an entry by a handle, the data plane by its match. Handles are numbered from 0 and the lowest free number is taken, with a
count of its former owners above bit 24, so that a stale handle is told from a live one. Entries that came another way (constant
ones, or over P4Runtime) get a handle when they are first met.
"""

from __future__ import annotations

import hashlib
import heapq
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from p4switch.dataplane import Match
from p4switch.native import NativeDataplane
from p4switch.native.objects import Objects, TableInfo
from p4switch.thrift.services import MatchParam, MeterRate

INDEX_BITS = 24
TOP_PRIORITY = 2**31 - 1  # of P4Runtime, which stands for BMv2's priority 0

Key = tuple[bytes, bytes, int]


class Numbers:
    """Numbers from 0 on, the lowest free one first."""

    def __init__(self) -> None:
        self._free: list[int] = []
        self._next = 0

    def take(self) -> int:
        if self._free:
            return heapq.heappop(self._free)
        self._next += 1
        return self._next - 1

    def give_back(self, number: int) -> None:
        heapq.heappush(self._free, number)


def number_of(handle: int) -> int:
    """The place of an entry with this handle, which later entries may have as well."""
    return handle & ((1 << INDEX_BITS) - 1)


class InvalidHandle(Exception):
    """No entry has the handle; `expired` if its number belongs to a later entry."""

    def __init__(self, *, expired: bool) -> None:
        super().__init__("expired" if expired else "invalid")
        self.expired = expired


class Handles:
    """The handles of one table's entries."""

    def __init__(self) -> None:
        self._numbers = Numbers()
        self._versions: dict[int, int] = {}
        self._matches: dict[int, Match] = {}  # by number
        self._by_key: dict[Key, int] = {}

    def add(self, match: Match) -> int:
        """The handle of an entry, a new one if it has none."""
        key = (match.value, match.mask, match.priority)
        number = self._by_key.get(key)
        if number is None:
            number = self._numbers.take()
            self._by_key[key] = number
            self._matches[number] = match
        return self._handle(number)

    def current(self, handle: int) -> int | None:
        """The handle of the entry that has the number of `handle` now; None if none has."""
        number = number_of(handle)
        return self._handle(number) if number in self._matches else None

    def match(self, handle: int) -> Match:
        number = number_of(handle)
        if number not in self._matches:
            raise InvalidHandle(expired=False)
        if self._handle(number) != handle:
            raise InvalidHandle(expired=True)
        return self._matches[number]

    def remove(self, match: Match) -> None:
        number = self._by_key.pop((match.value, match.mask, match.priority), None)
        if number is not None:
            del self._matches[number]
            self._versions[number] = self._versions.get(number, 0) + 1
            self._numbers.give_back(number)

    def keep_only(self, keys: set[Key]) -> None:
        """Forgets the entries that are gone without us."""
        for key in [key for key in self._by_key if key not in keys]:
            self.remove(self._matches[self._by_key[key]])

    def _handle(self, number: int) -> int:
        handle = (self._versions.get(number, 0) << INDEX_BITS | number) & 0xFFFFFFFF
        return handle - (1 << 32) if handle >> 31 else handle


class MeterCells:
    """The rates of a direct meter by the numbers of entries: in BMv2 they stay while entries come and go, for the next entry that
    gets the number."""

    def __init__(self) -> None:
        self._common: list[MeterRate] = []
        self._own: dict[int, list[MeterRate]] = {}

    def set(self, handle: int, rates: list[MeterRate]) -> None:
        self._own[number_of(handle)] = rates

    def set_all(self, rates: list[MeterRate]) -> None:
        self._common = rates
        self._own.clear()

    def get(self, handle: int) -> list[MeterRate]:
        """Empty if nobody has set any."""
        return self._own.get(number_of(handle), self._common)


@dataclass(slots=True)
class ProgramState:
    """What belongs to one loaded program."""

    objects: Objects
    handles: dict[str, Handles] = field(default_factory=dict)
    value_sets: dict[str, list[bytes]] = field(default_factory=dict)  # as they were given: not padded field by field
    prefixes: dict[tuple[str, Match], list[MatchParam]] = field(default_factory=dict)
    """Keys as they were given, where a prefix has bits behind its length: the data plane forgets them, BMv2 shows them."""
    meter_cells: dict[str, MeterCells] = field(default_factory=dict)
    """Of direct meters, by name."""

    def cells(self, meter: str) -> MeterCells:
        """The cells of a direct meter."""
        return self.meter_cells.setdefault(meter, MeterCells())


class SwitchState:
    """The switch as BMv2's services see it. Calls hold `lock`, so that a handle cannot change its entry under them."""

    def __init__(
        self, dataplane: NativeDataplane, *, device_id: int = 0, thrift_port: int = 0, swap_enabled: bool = False
    ) -> None:
        self.dataplane = dataplane
        self.device_id = device_id
        self.thrift_port = thrift_port
        self.swap_enabled = swap_enabled
        self.lock = threading.RLock()
        self.next_config: bytes | None = None
        self.on_reset: list[Callable[[], None]] = []
        self._program: ProgramState | None = None

    @property
    def program(self) -> ProgramState:
        """The state of the program that runs now; a new one after each load, whoever ordered it.

        Raises:
            DataplaneError: no program is loaded.
        """
        objects = self.dataplane.objects
        if self._program is None or self._program.objects is not objects:
            state = ProgramState(objects)
            for name in objects.tables:
                state.handles[name] = Handles()
            names = list(objects.tables)
            for item in objects.description.installed:
                if item.match is not None:
                    state.handles[names[item.table]].add(item.match)
            for name in objects.value_sets:
                state.value_sets[name] = []
            self._program = state
        return self._program

    def config(self) -> bytes:
        return self.dataplane.config

    def config_md5(self) -> bytes:
        return hashlib.md5(self.dataplane.config, usedforsecurity=False).digest()

    def reset(self) -> None:
        """Everything as right after the load."""
        self.dataplane.load(self.dataplane.config)
        for clear in self.on_reset:
            clear()

    def entries(self, info: TableInfo) -> Iterator[tuple[int, Match]]:
        """Handle and match of every entry, the lowest number first."""
        handles = self.program.handles[info.name]
        matches = [entry.match for entry in self.dataplane.read_entries(info.name)]
        handles.keep_only({(match.value, match.mask, match.priority) for match in matches})
        numbered = sorted(((handles.add(match), match) for match in matches), key=lambda item: number_of(item[0]))
        return iter(numbered)
