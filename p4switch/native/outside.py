"""What is asked of the native data plane besides P4Runtime: ports that are no interfaces, copies of all frames, hashes with
parameters, the program that runs."""

from __future__ import annotations

import ctypes as c
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from p4switch.dataplane import DataplaneError, Status
from p4switch.endpoints.registry import Endpoints
from p4switch.native import library as lib
from p4switch.native.objects import Objects
from p4switch.native.resources import deliver
from p4switch.native.wire import Wire

if TYPE_CHECKING:
    from p4switch.native.trace import PacketTrace, TraceDecoder

TapHandler = Callable[[int, bytes, bool], None]
"""Called with a port, a frame, and whether it leaves."""

_TAP_OUT = 1 << 31
_INVALID = 4  # KV_INVALID_ARGUMENT

TraceHandler = Callable[["PacketTrace"], None]
"""Called with what happened to a packet and its copies."""


DROP_REASONS = (
    "ingress",  # by the program
    "egress",
    "headers_too_large",
    "endless_copies",
    "out_of_memory",
    "no_such_queue",
    "controller_queue_full",
    "port_queue_full",
    "egress_queue_full",
)

MAX_QUEUES = 32
"""Queues that a port may have, one a priority (KV_MAX_QUEUES)."""


class Occupancy(msgspec.Struct, frozen=True):
    """The running program, and entries and size of each of its tables; members, groups and size of each profile."""

    program: str
    config: bytes
    tables: dict[str, tuple[int, int]]
    profiles: dict[str, tuple[int, int, int]]


class Outside(Wire):
    """Part of `NativeDataplane`."""

    _idle: threading.Condition
    _users: int
    _closed: bool
    _endpoints: Endpoints
    _tap: TapHandler | None = None
    _traced: bool = False

    @property
    def objects(self) -> Objects:
        """The objects of the program that runs: another one after each load."""
        return self._pipeline().objects

    @property
    def config(self) -> bytes:
        """The JSON of the program that runs."""
        return self._pipeline().config

    @property
    def endpoints(self) -> Endpoints:
        """The ports that are no interfaces."""
        return self._endpoints

    # -- ports outside: what `p4switch.endpoints` asks of the switch

    def attach(self, port: int) -> None:
        """From now on, frames for `port` go to the endpoint that is behind it."""
        with self._lock:
            self._check_open()
            code = self._lib.kv_switch_attach(self._sw, port)
        if code == 2:
            raise DataplaneError(Status.ALREADY_EXISTS, f"port {port} is in use")
        if code:
            raise DataplaneError(Status.INVALID_ARGUMENT, f"port {port}: this number cannot be a port")
        self._start("outside", self._deliver_outside)

    def detach(self, port: int) -> None:
        with self._lock:
            if not self._closed:
                self._lib.kv_switch_detach(self._sw, port)

    def attach_all(self) -> None:
        """From now on, frames for every port that is none yet go to the endpoints, but for the controller's."""
        with self._lock:
            self._check_open()
            self._lib.kv_switch_attach_all(self._sw)
        self._start("outside", self._deliver_outside)

    def set_up(self, port: int, up: bool) -> None:
        """Whether selectors and multicast groups take an endpoint's port for usable.

        Raises:
            DataplaneError: NOT_FOUND; there is no such port.
        """
        with self._lock:
            self._check_open()
            self._raise(self._lib.kv_switch_set_outside_up(self._sw, port, up), "port", str(port), "port")

    def ready(self) -> bool:
        """Whether a program is loaded."""
        return self._loaded is not None

    def settled(self, timeout_ms: int) -> int | None:
        """Wait until no packet is held up on its way; how many frames there have been for endpoints until then.

        Returns None if that takes longer.
        """
        pushed = c.c_uint64()
        with self._lock:
            if self._closed:
                return 0
            self._users += 1
        try:
            code = self._lib.kv_switch_settle(self._sw, timeout_ms, c.byref(pushed))
        finally:
            with self._lock:
                self._users -= 1
                self._idle.notify_all()
        return None if code else pushed.value

    def receive(self, port: int, frame: bytes, packet_id: int = 0) -> None:
        """Process `frame` as received on `port`. Without a program it is dropped.

        Args:
            packet_id: comes back with what the endpoints are given of it.
        """
        with self._lock:
            if self._closed or self._loaded is None:
                return
            self._users += 1
        try:
            code = self._lib.kv_switch_receive(self._sw, port, packet_id, frame, len(frame))
        finally:
            with self._lock:
                self._users -= 1
                self._idle.notify_all()
        self._raise(code, "port", str(port), "frame")

    def on_frame(self, handler: TapHandler) -> None:
        """Call `handler` with every frame that comes or goes, on any port: port, frame, whether it leaves."""
        with self._lock:
            self._check_open()
            self._tap = handler
            self._lib.kv_switch_tap(self._sw, 1)
        self._start("taps", self._deliver_taps)

    def _deliver_taps(self) -> None:
        tag, data, length = c.c_uint32(), lib.U8P(), c.c_uint32()
        while (code := self._lib.kv_switch_next_tap(self._sw, 1000, c.byref(tag), c.byref(data), c.byref(length))) >= 0:
            if code == 1:
                frame = lib.take(self._lib, data, length.value)
                if self._tap is not None:
                    deliver("frame", self._tap, tag.value & ~_TAP_OUT, frame, bool(tag.value & _TAP_OUT))

    def on_trace(self, handler: TraceHandler) -> None:
        """Call `handler` with what happened to each packet; from the next load on, the programs are compiled for it."""
        with self._lock:
            self._check_open()
            self._traced = True
        self._start("traces", lambda: self._deliver_traces(handler))

    def _deliver_traces(self, handler: TraceHandler) -> None:
        from p4switch.native.trace import TraceDecoder

        data, length = lib.U8P(), c.c_uint32()
        decoder: TraceDecoder | None = None
        while (code := self._lib.kv_switch_next_trace(self._sw, 1000, c.byref(data), c.byref(length))) >= 0:
            if code != 1:
                continue
            records = lib.take(self._lib, data, length.value)
            loaded = self._loaded
            if loaded is None:
                continue
            if decoder is None or decoder.program is not loaded.objects.program:
                decoder = TraceDecoder(loaded.objects.program)
            deliver("trace", handler, decoder.decode(records))

    def _deliver_outside(self) -> None:
        port, packet_id, data, length = c.c_uint32(), c.c_uint64(), lib.U8P(), c.c_uint32()
        found = (c.byref(port), c.byref(packet_id), c.byref(data), c.byref(length))
        while (code := self._lib.kv_switch_next_outside(self._sw, 1000, *found)) >= 0:
            if code == 1:
                frame = lib.take(self._lib, data, length.value)
                deliver("port", self._endpoints.send, port.value, frame, packet_id.value)

    def occupancy(self) -> Occupancy | None:
        """How full the tables and profiles of the running program are; None without one."""
        members, groups = c.c_uint32(), c.c_uint32()
        with self._lock:
            loaded = self._loaded
            if self._closed or loaded is None:
                return None
            tables = {}
            for info in loaded.objects.tables.values():
                tables[info.name] = (
                    int(self._lib.kv_switch_table_entries(self._sw, loaded.pointer, info.number)),
                    info.size,
                )
            profiles = {}
            for profile in loaded.objects.profiles.values():
                self._lib.kv_switch_profile_counts(
                    self._sw, loaded.pointer, profile.number, c.byref(members), c.byref(groups)
                )
                profiles[profile.name] = (members.value, groups.value, profile.size)
            return Occupancy(loaded.objects.name, loaded.config, tables, profiles)

    def drops(self) -> dict[str, int]:
        """Packets dropped since the start, by reason."""
        counts = (c.c_uint64 * len(DROP_REASONS))()
        with self._lock:
            if not self._closed:
                self._lib.kv_switch_drops(self._sw, counts)
        return dict(zip(DROP_REASONS, counts, strict=True))

    def set_crc_parameters(
        self,
        calculation: str,
        polynomial: int,
        initial: int,
        final_xor: int,
        *,
        data_reflected: bool,
        remainder_reflected: bool,
    ) -> None:
        """Change the CRC of a calculation whose algorithm is a custom CRC, until the next load."""
        with self._lock:
            loaded = self._pipeline()
            number = loaded.objects.hash_number(calculation)
            self._lib.kv_switch_set_crc(
                self._sw, loaded.pointer, number, polynomial, initial, final_xor, data_reflected, remainder_reflected
            )

    def set_toeplitz_key(self, calculation: str, key: bytes) -> None:
        """Change the key of a calculation whose algorithm is a Toeplitz hash: whole words of four bytes."""
        with self._lock:
            loaded = self._pipeline()
            number = loaded.objects.hash_number(calculation)
            if len(key) % 4 or self._lib.kv_switch_set_toeplitz(self._sw, loaded.pointer, number, key, len(key) // 4):
                raise DataplaneError(
                    Status.INVALID_ARGUMENT,
                    f"calculation {calculation!r}: a key of {len(key)} bytes is not 1 to 256 words of four bytes",
                )

    def set_queue_depth(self, packets: int, port: int | None = None, priority: int | None = None) -> None:
        """The most packets that wait in a queue between ingress and egress: of one port and priority, of one port, or of all.

        Raises:
            DataplaneError: INVALID_ARGUMENT; there is no such port or priority, or the number is negative.
        """
        self._set_queue("depth", packets, port, priority)

    def set_queue_rate(self, packets_per_second: int, port: int | None = None, priority: int | None = None) -> None:
        """The most packets a second that leave a queue (0: no limit); otherwise as `set_queue_depth`."""
        self._set_queue("rate", packets_per_second, port, priority)

    def _set_queue(self, what: str, value: int, port: int | None, priority: int | None) -> None:
        if value < 0:
            raise DataplaneError(Status.INVALID_ARGUMENT, f"the {what} of a queue cannot be {value}")
        if (port is not None and port < 0) or (priority is not None and priority < 0):
            raise DataplaneError(Status.INVALID_ARGUMENT, f"port {port} has no queue of priority {priority}")
        places = (-1 if port is None else port, -1 if priority is None else priority)
        with self._lock:
            self._check_open()
            code = self._lib.kv_switch_set_queue(self._sw, *places, what == "rate", value)
        if code == _INVALID:
            raise DataplaneError(Status.INVALID_ARGUMENT, f"port {port} has no queue of priority {priority}")
        if code:
            raise DataplaneError(Status.RESOURCE_EXHAUSTED, "not enough memory for the queues")

    def elapsed_us(self) -> int:
        """Microseconds since the switch started: the clock of the packets' timestamps."""
        with self._lock:
            self._check_open()
            return int(self._lib.kv_switch_elapsed_us(self._sw))
