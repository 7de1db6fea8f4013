"""`NativeDataplane`: the `Dataplane` protocol on the compiled pipeline and the C runtime."""

from __future__ import annotations

import _ctypes
import ctypes as c
import logging
import os
import struct
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Literal

from p4switch.dataplane import (
    PLAIN,
    Action,
    Attributes,
    Counter,
    DataplaneError,
    Entry,
    GroupMember,
    GroupRef,
    Match,
    MemberRef,
    PacketInHandler,
    PortStats,
    Status,
    TableAction,
)
from p4switch.endpoints.registry import Endpoints, is_endpoint
from p4switch.native import library as lib
from p4switch.native import programs
from p4switch.native.objects import ProfileInfo, TableInfo, kept_arrays
from p4switch.native.outside import Outside
from p4switch.native.programs import Begun, Ready, make_ready
from p4switch.native.resources import Loaded, deliver, meter_state
from p4switch.native.wire import PROTOTYPES

_LOG = logging.getLogger(__name__)

DROP_PORT = 511
_ENTRY_HEAD = struct.Struct("<IIiIQQQq")
_METER_STATE_BYTES = c.sizeof(lib.MeterStateStruct)
_CELL_FORMATS: Final[dict[int, Literal["B", "H", "I", "Q"]]] = {1: "B", 2: "H", 4: "I", 8: "Q"}
_PAIR = struct.Struct("<II")
_GROUP_MEMBER = struct.Struct("<IIi")
_ACTION, _MEMBER, _GROUP = range(3)
_OK = 0
_STATUS = {
    1: Status.NOT_FOUND,
    2: Status.ALREADY_EXISTS,
    3: Status.RESOURCE_EXHAUSTED,
    4: Status.INVALID_ARGUMENT,
    5: Status.FAILED_PRECONDITION,
    6: Status.RESOURCE_EXHAUSTED,
}


class NativeDataplane(Outside):
    """Runs a BMv2 program at native speed. Threads are C threads, but for one that delivers packets to the controller.

    Args:
        cpu_port: the port of packet-in and packet-out, or None.
        drop_port: the `egress_spec` that drops.
        log: called with the program's log messages.
        workers: packet threads, if the program's state allows more than one (p4switch.codegen.state).
        queues: of each port, one a priority; up to 32.
        begun: a program that will be loaded, if it is being made ready already.
    """

    def __init__(
        self,
        cpu_port: int | None = None,
        drop_port: int = DROP_PORT,
        log: Callable[[str], None] | None = None,
        workers: int = 1,
        queues: int = 1,
        begun: Begun | None = None,
    ) -> None:
        self._lib = lib.load_runtime(PROTOTYPES)
        self._cpu_port = cpu_port
        absent = 0xFFFFFFFF
        seed = int.from_bytes(os.urandom(8), "little")
        self._seed = seed
        self._sw = self._lib.kv_switch_new(absent if cpu_port is None else cpu_port, drop_port, seed, workers)
        if not self._sw:
            raise DataplaneError(Status.RESOURCE_EXHAUSTED, "not enough memory for a switch")
        self._lib.kv_switch_queues(self._sw, queues)
        self._lock = threading.RLock()  # keeps the pipeline in place while a call uses it
        self._idle = threading.Condition(self._lock)
        self._users = 0  # packets on their way by hand, which need the switch but not a particular pipeline
        self._loaded: Loaded | None = None
        self._begun = begun
        self._closed = False
        self._packet_in: PacketInHandler | None = None
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._endpoints = Endpoints(self)
        self._log_callback = lib.LogFunction(lambda text: log(text.decode(errors="replace"))) if log else None
        if self._log_callback is not None:
            self._lib.kv_switch_set_log(self._sw, self._log_callback)

    # -- pipeline

    @classmethod
    def check(cls, bmv2_json: bytes) -> None:
        programs.check(bmv2_json)

    def load(self, bmv2_json: bytes, keep: Collection[str] = ()) -> None:
        self._check_open()
        ready = self._make_ready(bmv2_json)
        with self._lock:
            self._check_open()
            if not ready.path.exists():  # somebody has emptied the cache since it was compiled
                ready = make_ready(bmv2_json, traced=self._traced)
            shared = lib.open_object(ready.path)
            descriptor = c.addressof(c.c_char.in_dll(shared, "kv_program"))
            problem = self._lib.kv_pipeline_check(descriptor)
            if problem:
                raise DataplaneError(Status.FAILED_PRECONDITION, problem.decode())
            pointer = self._lib.kv_pipeline_new(descriptor, self._seed)
            if not pointer:
                raise DataplaneError(
                    Status.RESOURCE_EXHAUSTED, "not enough memory for the pipeline's registers and tables"
                )
            loaded = Loaded(bmv2_json, ready.objects, shared, pointer)
            try:
                self._install(loaded)
            except DataplaneError:
                self._lib.kv_pipeline_free(pointer)
                raise
            previous = self._loaded
            kept = [] if previous is None else kept_arrays(previous.objects, loaded.objects, keep)
            arrays = (lib.KeptArrayStruct * max(1, len(kept)))(*kept)
            code = self._lib.kv_switch_commit(self._sw, pointer, arrays, len(kept))
            self._raise(code, "pipeline", loaded.objects.name)
            self._loaded = loaded
            if previous is not None:
                _ctypes.dlclose(previous.shared._handle)

    def _install(self, loaded: Loaded) -> None:
        """Default actions and constant entries of the program."""
        names = list(loaded.objects.tables)
        for item in loaded.objects.description.installed:
            target = c.byref(lib.Target(_ACTION, item.action, item.args))
            match = item.match
            if match is None:
                status = self._lib.kv_switch_set_default(self._sw, loaded.pointer, item.table, target, 1)
                self._raise(status, "table", names[item.table])
            else:
                status = self._lib.kv_switch_insert(
                    self._sw, loaded.pointer, item.table, match.value, match.mask or None, match.priority, target
                )
                self._raise(status, "table", names[item.table], "constant entry")
        for number, (immutable, default_const) in enumerate(loaded.objects.description.sealed):
            self._lib.kv_switch_seal(loaded.pointer, number, immutable, default_const)

    def prepare(self, bmv2_json: bytes) -> None:
        """Compile a program without running it, so that `load` finds it ready."""
        make_ready(bmv2_json, traced=self._traced)

    def _make_ready(self, bmv2_json: bytes) -> Ready:
        begun, self._begun = self._begun, None
        if begun is not None and (begun.config, begun.traced) == (bmv2_json, self._traced):
            return begun.result.result()
        return make_ready(bmv2_json, traced=self._traced)

    def _check_open(self) -> None:
        if self._closed:
            raise DataplaneError(Status.FAILED_PRECONDITION, "the data plane is closed")

    def _pipeline(self) -> Loaded:
        self._check_open()
        if self._loaded is None:
            raise DataplaneError(Status.FAILED_PRECONDITION, "no pipeline is loaded")
        return self._loaded

    @staticmethod
    def _raise(code: int, kind: str, name: str, what: str = "entry", size: int | None = None) -> None:
        if code == _OK:
            return
        subject = f"{kind} {name!r}"
        texts = {
            1: f"{subject}: there is no such {what}",
            2: f"{subject}: this {what} is there already",
            3: f"{subject} is full: its size is {size} entries" if size is not None else f"{subject} is full",
            4: f"{subject}: the {what} is not valid",
            5: f"{subject}: the {what} cannot be changed now",
            6: f"{subject}: not enough memory for another {what}",
        }
        raise DataplaneError(_STATUS.get(code, Status.INVALID_ARGUMENT), texts.get(code, f"{subject}: error {code}"))

    # -- ports

    def add_port(self, port: int, interface: str) -> None:
        """Attach a network interface, or what `p4switch.endpoints` names: "unix:PATH", "udp:HOST:PORT", "tcp:HOST:PORT"."""
        if self._endpoints.gate is not None:
            self._endpoints.gate.name(port, interface)
            return
        if is_endpoint(interface):
            self._endpoints.add(port, interface)
            return
        with self._lock:
            self._check_open()
            code = self._lib.kv_switch_add_port(self._sw, port, interface.encode())
        if code < 0:
            reason = os.strerror(-code)
            if -code == 19:
                raise DataplaneError(Status.NOT_FOUND, f"port {port}: interface {interface!r} does not exist")
            raise DataplaneError(
                Status.FAILED_PRECONDITION, f"port {port}: cannot open interface {interface!r}: {reason}"
            )
        if code == 2:
            raise DataplaneError(Status.ALREADY_EXISTS, f"port {port} is in use")
        self._raise(code, "port", str(port), f"number or interface {interface!r}")

    def remove_port(self, port: int) -> None:
        if self._endpoints.gate is not None or self._endpoints.remove(port):
            return
        with self._lock:
            self._check_open()
            self._raise(self._lib.kv_switch_remove_port(self._sw, port), "port", str(port), "port")

    def ports(self) -> Sequence[PortStats]:
        result: list[PortStats] = []
        number, up, name, stats = c.c_uint32(), c.c_uint32(), c.create_string_buffer(17), lib.PortStatsStruct()
        with self._lock:
            self._check_open()
            while (
                self._lib.kv_switch_port(self._sw, len(result), c.byref(number), name, c.byref(up), c.byref(stats))
                == _OK
            ):
                result.append(
                    PortStats(
                        port=number.value,
                        interface=name.value.decode(errors="replace"),
                        up=bool(up.value),
                        rx_packets=stats.rx_packets,
                        rx_bytes=stats.rx_bytes,
                        tx_packets=stats.tx_packets,
                        tx_bytes=stats.tx_bytes,
                        rx_dropped=stats.rx_dropped,
                        tx_dropped=stats.tx_dropped,
                    )
                )
        return sorted([*result, *self._endpoints.stats()], key=lambda stat: stat.port)

    def has_port(self, port: int) -> bool:
        return self._endpoints.gate is not None or any(stats.port == port for stats in self.ports())

    # -- table entries

    def _table(self, loaded: Loaded, name: str) -> TableInfo:
        info = loaded.objects.tables.get(name)
        if info is None:
            raise DataplaneError(Status.NOT_FOUND, f"there is no table {name!r}")
        return info

    def _profile(self, loaded: Loaded, name: str) -> ProfileInfo:
        info = loaded.objects.profiles.get(name)
        if info is None:
            raise DataplaneError(Status.NOT_FOUND, f"there is no action profile {name!r}")
        return info

    def insert_entry(self, table: str, match: Match, action: TableAction, attributes: Attributes = PLAIN) -> None:
        self._write(self._lib.kv_switch_insert, table, match, action, attributes)

    def modify_entry(self, table: str, match: Match, action: TableAction, attributes: Attributes = PLAIN) -> None:
        self._write(self._lib.kv_switch_modify, table, match, action, attributes)

    def _write(
        self, function: Callable[..., int], table: str, match: Match, action: TableAction, attributes: Attributes
    ) -> None:
        with self._lock:
            loaded = self._pipeline()
            info = self._table(loaded, table)
            info.check_match(match)
            target = info.target(action)
            if attributes is not PLAIN:
                info.attach(target, attributes)
            code = function(
                self._sw, loaded.pointer, info.number, match.value, info.mask(match), match.priority, c.byref(target)
            )
            if code == 1 and not isinstance(action, Action):
                self._missing_target(loaded, info, action)
            self._explain(code, info)

    def _missing_target(self, loaded: Loaded, info: TableInfo, action: MemberRef | GroupRef) -> None:
        """Tells an entry that does not exist from a member or group that does not."""
        profile = info.profile
        assert profile is not None
        if isinstance(action, MemberRef):
            if all(member_id != action.member_id for member_id, _ in self.read_members(profile)):
                raise DataplaneError(
                    Status.NOT_FOUND,
                    f"table {info.name!r}: action profile {profile!r} has no member {action.member_id}",
                )
        elif all(group_id != action.group_id for group_id, _ in self.read_groups(profile)):
            raise DataplaneError(
                Status.NOT_FOUND, f"table {info.name!r}: action profile {profile!r} has no group {action.group_id}"
            )

    def _explain(self, code: int, info: TableInfo) -> None:
        if code == 5 and info.immutable:
            raise DataplaneError(Status.FAILED_PRECONDITION, f"table {info.name!r}: its entries are constant")
        if code == 5:
            raise DataplaneError(Status.FAILED_PRECONDITION, f"table {info.name!r} has no key: it takes no entries")
        if code == 4:
            raise DataplaneError(
                Status.INVALID_ARGUMENT, f"table {info.name!r}: a range's low bound is above its high one"
            )
        self._raise(code, "table", info.name, "entry", info.size)

    def delete_entry(self, table: str, match: Match) -> None:
        with self._lock:
            loaded = self._pipeline()
            info = self._table(loaded, table)
            info.check_match(match)
            code = self._lib.kv_switch_delete(
                self._sw, loaded.pointer, info.number, match.value, info.mask(match), match.priority
            )
            self._explain(code, info)

    def set_default_action(self, table: str, action: TableAction | None) -> None:
        with self._lock:
            loaded = self._pipeline()
            info = self._table(loaded, table)
            target = c.byref(info.default_target(action)) if action is not None else None
            code = self._lib.kv_switch_set_default(self._sw, loaded.pointer, info.number, target, 0)
            if code == 5:
                raise DataplaneError(Status.FAILED_PRECONDITION, f"table {table!r}: its default action is constant")
            self._raise(code, "table", table, "member or group")

    def default_action(self, table: str) -> TableAction | None:
        with self._lock:
            loaded = self._pipeline()
            info = self._table(loaded, table)
            kind, ident = c.c_uint32(), c.c_uint32()
            args = c.create_string_buffer(info.max_arg_bytes + 1)
            code = self._lib.kv_switch_read_default(
                self._sw, loaded.pointer, info.number, c.byref(kind), c.byref(ident), args
            )
            if code == 1:
                return None
            name = info.action_names[ident.value] if kind.value == _ACTION else ""
            return _action(kind.value, ident.value, name, args.raw[: info.arg_bytes.get(name, 0)])

    def _records(self, function: Callable[..., int], *args: object) -> tuple[int, bytes]:
        data, size = lib.U8P(), c.c_uint64()
        code = function(self._sw, *args, c.byref(data), c.byref(size))
        return code, lib.take(self._lib, data, size.value) if code == _OK else b""

    def read_entries(self, table: str) -> Iterator[Entry]:
        with self._lock:
            loaded = self._pipeline()
            info = self._table(loaded, table)
            code, records = self._records(self._lib.kv_switch_read_table, loaded.pointer, info.number)
        self._raise(code, "table", table)
        return self._entries(info, records)

    def _entries(self, info: TableInfo, records: bytes) -> Iterator[Entry]:
        at, size = 0, info.key_bytes
        while at < len(records):
            kind, ident, priority, note_length, packets, count, idle_us, timeout = _ENTRY_HEAD.unpack_from(records, at)
            at += _ENTRY_HEAD.size
            value = records[at : at + size]
            at += size
            mask = b""
            if info.masked:
                mask = records[at : at + size]
                at += size
            args, name = b"", ""
            if kind == _ACTION:
                name = info.action_names[ident]
                args = records[at : at + info.arg_bytes[name]]
                at += len(args)
            note = records[at : at + note_length]
            at += note_length
            meter = None
            if info.meter:
                meter = meter_state(lib.MeterStateStruct.from_buffer_copy(records, at))
                at += _METER_STATE_BYTES
            yield Entry(
                match=Match(value, mask, priority),
                action=_action(kind, ident, name, args),
                counter=Counter(packets, count) if info.counters else None,
                meter=meter,
                note=note,
                idle_timeout_ns=timeout,
                idle_ns=idle_us * 1000 if info.timeouts else 0,
            )

    def read_entry(self, table: str, match: Match) -> Entry | None:
        with self._lock:
            loaded = self._pipeline()
            info = self._table(loaded, table)
            info.check_match(match)
            code, records = self._records(
                self._lib.kv_switch_read_entry,
                loaded.pointer,
                info.number,
                match.value,
                info.mask(match),
                match.priority,
            )
        if code == 1:
            return None
        self._raise(code, "table", table)
        return next(self._entries(info, records))

    def write_direct_counter(self, table: str, match: Match, value: Counter) -> None:
        with self._lock:
            loaded = self._pipeline()
            info = self._table(loaded, table)
            info.check_match(match)
            if not info.counters:
                raise DataplaneError(Status.INVALID_ARGUMENT, f"table {table!r} has no direct counter")
            code = self._lib.kv_switch_write_direct_counter(
                self._sw,
                loaded.pointer,
                info.number,
                match.value,
                info.mask(match),
                match.priority,
                value.packets,
                value.bytes,
            )
            self._raise(code, "table", table)

    # -- action profiles and selectors

    def insert_member(self, profile: str, member_id: int, action: Action) -> None:
        self._write_member(profile, member_id, action, insert=True)

    def modify_member(self, profile: str, member_id: int, action: Action) -> None:
        self._write_member(profile, member_id, action, insert=False)

    def _write_member(self, profile: str, member_id: int, action: Action, *, insert: bool) -> None:
        with self._lock:
            loaded = self._pipeline()
            info = self._profile(loaded, profile)
            number = info.check_action(action)
            code = self._lib.kv_switch_member(
                self._sw, loaded.pointer, info.number, member_id, number, action.args, int(insert)
            )
            self._raise(code, "action profile", profile, f"member {member_id}", info.size)

    def delete_member(self, profile: str, member_id: int) -> None:
        with self._lock:
            loaded = self._pipeline()
            info = self._profile(loaded, profile)
            code = self._lib.kv_switch_delete_member(self._sw, loaded.pointer, info.number, member_id)
            if code == 5:
                raise DataplaneError(
                    Status.FAILED_PRECONDITION, f"action profile {profile!r}: member {member_id} is in use"
                )
            self._raise(code, "action profile", profile, f"member {member_id}")

    def read_members(self, profile: str) -> Iterator[tuple[int, Action]]:
        with self._lock:
            loaded = self._pipeline()
            info = self._profile(loaded, profile)
            code, records = self._records(self._lib.kv_switch_read_members, loaded.pointer, info.number)
        self._raise(code, "action profile", profile)
        members: list[tuple[int, Action]] = []
        at = 0
        while at < len(records):
            member_id, number = _PAIR.unpack_from(records, at)
            at += _PAIR.size
            name = info.action_names[number]
            members.append((member_id, Action(name, records[at : at + info.arg_bytes[name]])))
            at += info.arg_bytes[name]
        return iter(sorted(members, key=lambda item: item[0]))

    def insert_group(self, profile: str, group_id: int, members: Sequence[GroupMember]) -> None:
        self._write_group(profile, group_id, members, insert=True)

    def modify_group(self, profile: str, group_id: int, members: Sequence[GroupMember]) -> None:
        self._write_group(profile, group_id, members, insert=False)

    def _write_group(self, profile: str, group_id: int, members: Sequence[GroupMember], *, insert: bool) -> None:
        with self._lock:
            loaded = self._pipeline()
            info = self._profile(loaded, profile)
            where = f"action profile {profile!r}: group {group_id}"
            if not info.selector:
                raise DataplaneError(
                    Status.INVALID_ARGUMENT, f"action profile {profile!r} has no selector, so no groups"
                )
            array = (lib.GroupMemberStruct * max(1, len(members)))()
            for i, member in enumerate(members):
                if member.weight < 1:
                    raise DataplaneError(
                        Status.INVALID_ARGUMENT, f"{where}: member {member.member_id} has the weight {member.weight}"
                    )
                port = -1 if member.watch_port is None else member.watch_port
                array[i] = lib.GroupMemberStruct(member.member_id, member.weight, port)
            code = self._lib.kv_switch_group(
                self._sw, loaded.pointer, info.number, group_id, array, len(members), int(insert)
            )
            if code == 4:
                raise DataplaneError(Status.INVALID_ARGUMENT, f"{where}: a member is named twice")
            if code == 1 and {m.member_id for m in members} - {ident for ident, _ in self.read_members(profile)}:
                raise DataplaneError(Status.NOT_FOUND, f"{where}: a member does not exist")
            self._raise(code, "action profile", profile, f"group {group_id}")

    def delete_group(self, profile: str, group_id: int) -> None:
        with self._lock:
            loaded = self._pipeline()
            info = self._profile(loaded, profile)
            code = self._lib.kv_switch_delete_group(self._sw, loaded.pointer, info.number, group_id)
            if code == 5:
                raise DataplaneError(
                    Status.FAILED_PRECONDITION, f"action profile {profile!r}: group {group_id} is in use"
                )
            self._raise(code, "action profile", profile, f"group {group_id}")

    def read_groups(self, profile: str) -> Iterator[tuple[int, Sequence[GroupMember]]]:
        with self._lock:
            loaded = self._pipeline()
            info = self._profile(loaded, profile)
            code, records = self._records(self._lib.kv_switch_read_groups, loaded.pointer, info.number)
        self._raise(code, "action profile", profile)
        groups: list[tuple[int, Sequence[GroupMember]]] = []
        at = 0
        while at < len(records):
            group_id, count = _PAIR.unpack_from(records, at)
            at += _PAIR.size
            members: list[GroupMember] = []
            for _ in range(count):
                member_id, weight, port = _GROUP_MEMBER.unpack_from(records, at)
                at += _GROUP_MEMBER.size
                members.append(GroupMember(member_id, weight, None if port < 0 else port))
            groups.append((group_id, members))
        return iter(sorted(groups, key=lambda item: item[0]))

    # -- indexed state

    @staticmethod
    def _span(kind: str, name: str, size: int, index: int | None) -> tuple[int, int]:
        if index is None:
            return 0, size
        if not 0 <= index < size:
            raise DataplaneError(Status.INVALID_ARGUMENT, f"{kind} {name!r} has no index {index}: its size is {size}")
        return index, 1

    def _indexed(
        self, kind: str, known: dict[str, tuple[int, int]], name: str, index: int | None
    ) -> tuple[int, int, int]:
        """Number of the array, first cell, number of cells."""
        if name not in known:
            raise DataplaneError(Status.NOT_FOUND, f"there is no {kind} {name!r}")
        number, size = known[name]
        return (number, *self._span(kind, name, size, index))

    def read_counter(self, counter: str, index: int | None) -> Sequence[Counter]:
        with self._lock:
            loaded = self._pipeline()
            number, first, count = self._indexed("counter", loaded.objects.counters, counter, index)
            cells = (lib.CounterStruct * max(1, count))()
            self._lib.kv_switch_read_counters(self._sw, loaded.pointer, number, first, count, cells)
        return [Counter(cells[i].packets, cells[i].bytes) for i in range(count)]

    def write_counter(self, counter: str, index: int | None, value: Counter) -> None:
        with self._lock:
            loaded = self._pipeline()
            number, first, count = self._indexed("counter", loaded.objects.counters, counter, index)
            self._lib.kv_switch_write_counters(
                self._sw, loaded.pointer, number, first, count, value.packets, value.bytes
            )

    def read_register(self, register: str, index: int | None) -> Sequence[int]:
        with self._lock:
            loaded = self._pipeline()
            number, first, count = self._indexed("register", loaded.objects.registers, register, index)
            stride = loaded.objects.description.cells[register][1]
            cells = c.create_string_buffer(max(1, count * stride))
            self._lib.kv_switch_read_registers(self._sw, loaded.pointer, number, first, count, cells)
            raw = cells.raw
        return _register_cells(raw[: count * stride], stride)

    def write_register(self, register: str, index: int | None, value: int) -> None:
        with self._lock:
            loaded = self._pipeline()
            number, first, count = self._indexed("register", loaded.objects.registers, register, index)
            width, stride = loaded.objects.description.cells[register]
            if not 0 <= value < 1 << width:
                raise DataplaneError(
                    Status.INVALID_ARGUMENT, f"register {register!r}: {value:#x} does not fit in {width} bits"
                )
            cell = value.to_bytes(stride, "little")
            self._lib.kv_switch_write_registers(self._sw, loaded.pointer, number, first, count, cell)

    # -- packets

    @contextmanager
    def _running(self) -> Iterator[None]:
        """The switch, for packets: writers are not kept waiting, `close` is."""
        with self._lock:
            self._pipeline()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                self._idle.notify_all()

    def packet_out(self, frame: bytes) -> None:
        if self._cpu_port is None:
            raise DataplaneError(Status.FAILED_PRECONDITION, "the switch has no CPU port")
        with self._running():
            code = self._lib.kv_switch_inject(self._sw, self._cpu_port, frame, len(frame), None, None)
        self._raise(code, "port", str(self._cpu_port), "frame")

    def on_packet_in(self, handler: PacketInHandler) -> None:
        self._packet_in = handler
        self._start("packet-in", self._deliver_packets)

    def inject(self, port: int, frame: bytes) -> list[tuple[int, bytes]]:
        """What leaves the switch, in order, as (port, frame), when `frame` arrives on `port`. Nothing is sent."""
        with self._running():
            code, records = self._records(self._lib.kv_switch_inject, port, frame, len(frame))
        self._raise(code, "port", str(port), "frame")
        return list(lib.frames(records))

    def bench(self, frames: Sequence[tuple[int, bytes]], rounds: int, worker: int = 0) -> tuple[float, int]:
        """Processes `rounds` frames, (port, bytes) of `frames` in turn, in memory. Returns packets a second of
        processor time, and how many left.

        Calls for several workers may run at the same time, each in a thread of its own.
        """
        lengths = (c.c_uint32 * len(frames))(*(len(frame) for _, frame in frames))
        ports = (c.c_uint32 * len(frames))(*(port for port, _ in frames))
        emitted = c.c_uint64()
        data = b"".join(frame for _, frame in frames)
        with self._running():
            nanoseconds = self._lib.kv_switch_bench(
                self._sw, worker, data, lengths, ports, len(frames), rounds, c.byref(emitted)
            )
        if nanoseconds == 0:
            raise DataplaneError(Status.FAILED_PRECONDITION, f"this program does not run on {worker + 1} threads")
        return rounds * 1e9 / max(1, nanoseconds), emitted.value

    def mutate(self, frames: Sequence[bytes], rounds: int, seed: int) -> int:
        """Processes `rounds` random mutations of `frames`, in memory; how many frames left. For tests."""
        lengths = (c.c_uint32 * len(frames))(*map(len, frames))
        with self._running():
            return int(self._lib.kv_switch_mutate(self._sw, b"".join(frames), lengths, len(frames), rounds, seed))

    def _start(self, name: str, run: Callable[[], None]) -> None:
        with self._lock:
            self._check_open()
            if all(thread.name != name for thread in self._threads):
                thread = threading.Thread(target=run, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()

    def _deliver_packets(self) -> None:
        data, length = lib.U8P(), c.c_uint32()
        while (code := self._lib.kv_switch_next_packet_in(self._sw, 1000, c.byref(data), c.byref(length))) >= 0:
            if code == 1:
                frame = lib.take(self._lib, data, length.value)
                if self._packet_in is not None:
                    deliver("packet-in", self._packet_in, frame)

    def close(self) -> None:
        self._endpoints.close()
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._stopping.set()
            self._idle.wait_for(lambda: self._users == 0)
            self._lib.kv_switch_stop(self._sw)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        self._lib.kv_switch_free(self._sw)
        if self._loaded is not None:
            _ctypes.dlclose(self._loaded.shared._handle)
            self._loaded = None


def _register_cells(raw: bytes, stride: int) -> list[int]:
    """The numbers in a register's memory, `stride` bytes each. A connection table has millions."""
    if stride in _CELL_FORMATS and sys.byteorder == "little":
        return memoryview(raw).cast(_CELL_FORMATS[stride]).tolist()
    if stride == 16 and sys.byteorder == "little":
        words = memoryview(raw).cast("Q").tolist()
        return [high << 64 | low if high else low for low, high in zip(words[::2], words[1::2], strict=True)]
    return [int.from_bytes(raw[at : at + stride], "little") for at in range(0, len(raw), stride)]


def _action(kind: int, ident: int, name: str, args: bytes) -> TableAction:
    if kind == _MEMBER:
        return MemberRef(ident)
    return GroupRef(ident) if kind == _GROUP else Action(name, args)
