"""What `NativeDataplane` offers beside tables, profiles and packets: meters, value sets, digests, idle entries, replication."""

from __future__ import annotations

import ctypes as c
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from p4switch.dataplane import (
    Counter,
    DataplaneError,
    DigestConfig,
    DigestHandler,
    DigestList,
    Entry,
    IdleHandler,
    Match,
    MeterConfig,
    MeterState,
    Replica,
    Status,
    ValueSetField,
)
from p4switch.native import library as lib
from p4switch.native.objects import Objects, TableInfo, meter_struct

_LOG = logging.getLogger(__name__)

_SHORTEST_SWEEP_S = 0.01
_LONGEST_SWEEP_S = 0.25
_SWEEP_SHARE = 20
"""A search for idle entries may take one part in this many of the time."""


class Loaded(msgspec.Struct, frozen=True):
    """A pipeline in C, with the names of its objects."""

    config: bytes
    objects: Objects
    shared: c.CDLL
    pointer: int


def deliver(what: str, handler: Callable[..., None], *args: object) -> None:
    """Calls a handler; its failure is logged and must not end the thread that delivers."""
    try:
        handler(*args)
    except Exception:
        _LOG.exception("the handler of a %s failed", what)


def _meter(config: MeterConfig | None) -> object:
    return None if config is None else c.byref(meter_struct(config))


def meter_state(state: lib.MeterStateStruct) -> MeterState:
    cir, cburst, pir, pburst, eburst = state.written
    config = MeterConfig(cir, cburst, pir, pburst, eburst) if state.configured else None
    green, yellow, red = (Counter(cell.packets, cell.bytes) for cell in state.marked)
    return MeterState(config, green, yellow, red)


class Resources(ABC):
    """The part of `NativeDataplane` that this module is about."""

    _lib: c.CDLL
    _sw: int
    _lock: threading.RLock
    _loaded: Loaded | None
    _stopping: threading.Event
    _digest_handler: DigestHandler
    _idle_handler: IdleHandler

    @abstractmethod
    def _pipeline(self) -> Loaded: ...
    @abstractmethod
    def _check_open(self) -> None: ...
    @abstractmethod
    def _table(self, loaded: Loaded, name: str) -> TableInfo: ...
    @abstractmethod
    def _indexed(
        self, kind: str, known: dict[str, tuple[int, int]], name: str, index: int | None
    ) -> tuple[int, int, int]: ...
    @abstractmethod
    def _raise(self, code: int, kind: str, name: str, what: str = "entry", size: int | None = None) -> None: ...
    @abstractmethod
    def _entries(self, info: TableInfo, records: bytes) -> Iterator[Entry]: ...
    @abstractmethod
    def _records(self, function: Callable[..., int], *args: object) -> tuple[int, bytes]: ...
    @abstractmethod
    def _start(self, name: str, run: Callable[[], None]) -> None: ...

    @contextmanager
    def atomic(self) -> Iterator[None]:
        with self._lock:
            self._check_open()
            self._lib.kv_switch_freeze(self._sw)
            try:
                yield
            finally:
                self._lib.kv_switch_thaw(self._sw)

    # -- meters

    def write_meter(self, meter: str, index: int | None, config: MeterConfig | None) -> None:
        with self._lock:
            loaded = self._pipeline()
            number, first, count = self._indexed("meter", loaded.objects.meters, meter, index)
            self._lib.kv_switch_write_meters(self._sw, loaded.pointer, number, first, count, _meter(config))

    def clear_meter(self, meter: str, index: int | None) -> None:
        with self._lock:
            loaded = self._pipeline()
            number, first, count = self._indexed("meter", loaded.objects.meters, meter, index)
            self._lib.kv_switch_clear_meters(self._sw, loaded.pointer, number, first, count)

    def read_meter(self, meter: str, index: int | None) -> Sequence[MeterState]:
        with self._lock:
            loaded = self._pipeline()
            number, first, count = self._indexed("meter", loaded.objects.meters, meter, index)
            cells = (lib.MeterStateStruct * max(1, count))()
            self._lib.kv_switch_read_meters(self._sw, loaded.pointer, number, first, count, cells)
        return [meter_state(cells[i]) for i in range(count)]

    def write_direct_meter(self, table: str, match: Match, config: MeterConfig | None) -> None:
        self._direct_meter(self._lib.kv_switch_write_direct_meter, table, match, _meter(config))

    def clear_direct_meter(self, table: str, match: Match) -> None:
        self._direct_meter(self._lib.kv_switch_clear_direct_meter, table, match)

    def _direct_meter(self, function: Callable[..., int], table: str, match: Match, *arguments: object) -> None:
        with self._lock:
            loaded = self._pipeline()
            info = self._table(loaded, table)
            info.check_match(match)
            if not info.meter:
                raise DataplaneError(Status.INVALID_ARGUMENT, f"table {table!r} has no direct meter")
            code = function(
                self._sw, loaded.pointer, info.number, match.value, info.mask(match), match.priority, *arguments
            )
            self._raise(code, "table", table)

    # -- value sets

    def write_value_set(self, value_set: str, members: Sequence[Match], fields: Sequence[ValueSetField]) -> None:
        with self._lock:
            loaded = self._pipeline()
            if value_set not in loaded.objects.value_sets:
                raise DataplaneError(Status.NOT_FOUND, f"there is no value set {value_set!r}")
            number, size = loaded.objects.value_sets[value_set]
            if sum(field.size for field in fields) != size:
                raise DataplaneError(
                    Status.INVALID_ARGUMENT,
                    f"value set {value_set!r}: its fields have {sum(field.size for field in fields)} bytes, not {size}",
                )
            exact = b"\xff" * size
            for member in members:
                if len(member.value) != size or len(member.mask) not in (0, size):
                    raise DataplaneError(
                        Status.INVALID_ARGUMENT,
                        f"value set {value_set!r}: a member has {len(member.value)} bytes, not {size}",
                    )
            plain = all(not member.mask for member in members)
            layout = [] if plain else list(fields)
            array = (lib.ValueSetFieldStruct * max(1, len(layout)))()
            for i, field in enumerate(layout):
                array[i] = lib.ValueSetFieldStruct(field.size, field.ranged)
            data = b"".join(member.value + (member.mask or exact) for member in members)
            code = self._lib.kv_switch_write_value_set(
                self._sw, loaded.pointer, number, data, len(members), array, len(layout)
            )
            self._raise(code, "value set", value_set)

    # -- digests

    def configure_digest(self, digest: str, config: DigestConfig | None) -> None:
        with self._lock:
            loaded = self._pipeline()
            number = self._digest(loaded, digest)
            given = config or DigestConfig(0, 0, 0)
            self._lib.kv_switch_configure_digest(
                self._sw,
                loaded.pointer,
                number,
                int(config is not None),
                given.max_list_size,
                given.max_timeout_ns,
                given.ack_timeout_ns,
            )

    def acknowledge_digest(self, digest: str, list_id: int) -> None:
        with self._lock:
            loaded = self._pipeline()
            number = self._digest(loaded, digest)
            code = self._lib.kv_switch_acknowledge_digest(self._sw, loaded.pointer, number, list_id)
        self._raise(code, "digest", digest, f"list {list_id} that waits to be acknowledged")

    @staticmethod
    def _digest(loaded: Loaded, name: str) -> int:
        if name not in loaded.objects.digests:
            raise DataplaneError(Status.NOT_FOUND, f"there is no digest {name!r}")
        return loaded.objects.digests.index(name)

    def on_digest(self, handler: DigestHandler) -> None:
        self._digest_handler = handler
        self._start("digests", self._deliver_digests)

    def _deliver_digests(self) -> None:
        number, data, length = c.c_uint32(), lib.U8P(), c.c_uint64()
        list_id, timestamp, count = c.c_uint64(), c.c_uint64(), c.c_uint32()
        out = [c.byref(item) for item in (number, list_id, timestamp, count, data, length)]
        while (code := self._lib.kv_switch_next_digest(self._sw, 1000, *out)) >= 0:
            if code != 1:
                continue
            samples = lib.take(self._lib, data, length.value)
            loaded = self._loaded
            if loaded is None or number.value >= len(loaded.objects.digests):
                continue
            size = len(samples) // count.value
            parts = tuple(samples[i * size : (i + 1) * size] for i in range(count.value))
            digest = loaded.objects.digests[number.value]
            deliver("digest", self._digest_handler, DigestList(digest, list_id.value, timestamp.value, parts))

    # -- idle entries

    def on_idle(self, handler: IdleHandler) -> None:
        self._idle_handler = handler
        self._start("idle-entries", self._watch_idle)

    def _watch_idle(self) -> None:
        pause = _SHORTEST_SWEEP_S
        while not self._stopping.wait(pause):
            found, pause = self._sweep_idle()
            for table, entries in found:
                deliver("notification of idle entries", self._idle_handler, table, entries)

    def _sweep_idle(self) -> tuple[list[tuple[str, list[Entry]]], float]:
        """Idle entries by table, and the seconds until it is worth looking again."""
        found: list[tuple[str, list[Entry]]] = []
        pause = _LONGEST_SWEEP_S
        with self._lock:
            loaded = self._loaded
            if loaded is None or self._stopping.is_set():
                return found, pause
            begin = time.monotonic()  # the wait for the lock, while a pipeline is built, is not the sweep's
            next_us = c.c_uint64()
            for info in loaded.objects.tables.values():
                if not info.timeouts:
                    continue
                code, records = self._records(
                    self._lib.kv_switch_read_idle, loaded.pointer, info.number, c.byref(next_us)
                )
                if code == 0 and records:
                    found.append((info.name, list(self._entries(info, records))))
                pause = min(pause, next_us.value / 1e6)
            taken = time.monotonic() - begin
        return found, max(pause, _SHORTEST_SWEEP_S, _SWEEP_SHARE * taken)

    # -- replication

    def set_multicast_group(
        self, group: int, replicas: Sequence[Replica], backups: Sequence[Sequence[Replica]] = ()
    ) -> None:
        written: list[tuple[Replica, int]] = []
        for i, replica in enumerate(replicas):
            written.append((replica, 0))
            if i < len(backups):
                written.extend((stand_in, rank) for rank, stand_in in enumerate(backups[i], 1))
        array = (lib.BackedReplicaStruct * max(1, len(written)))()
        for i, ((port, instance), rank) in enumerate(written):
            array[i] = lib.BackedReplicaStruct(lib.ReplicaStruct(port, instance), rank)
        with self._lock:
            self._check_open()
            code = self._lib.kv_switch_multicast(self._sw, group, array, len(written))
            self._raise(code, "multicast group", str(group), "group number")

    def set_clone_session(
        self, session: int, replicas: Sequence[Replica], truncate: int = 0, class_of_service: int = 0
    ) -> None:
        array = (lib.ReplicaStruct * max(1, len(replicas)))()
        for i, (port, instance) in enumerate(replicas):
            array[i] = lib.ReplicaStruct(port, instance)
        with self._lock:
            self._check_open()
            code = self._lib.kv_switch_clone_session(
                self._sw, session, array, len(replicas), truncate, class_of_service
            )
            self._raise(code, "clone session", str(session), "session number")
