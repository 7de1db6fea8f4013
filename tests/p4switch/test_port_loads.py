"""Ports under load: frames of every size, bursts larger than the rings, several threads. On veth pairs of the test's own."""

from __future__ import annotations

import contextlib
import itertools
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from p4switch.dataplane import PortStats
from p4switch.native import NativeDataplane
from tests.p4switch.compiled import compile_file, compiled
from tests.p4switch.differential.conftest import PROGRAMS
from tests.p4switch.test_native_ports import (  # noqa: F401
    DST,
    NAMES,
    SRC,
    ip,
    open_end,
    pairs,
    pytestmark,
    wait_for,
    wire,
)

ROOT = Path(__file__).parents[2]
JUMBO_MTU = 9500
SO_RCVBUFFORCE = 33


def numbered(number: int, size: int, flow: int = 0) -> bytes:
    """A UDP frame of `size` bytes, of a flow, that says which it is, and whose rest follows from that."""
    head = DST + SRC + b"\x08\0\x45\0" + struct.pack(">H", size - 14) + bytes(4) + b"\x40\x11" + bytes(2)
    head += bytes([10, 0, 0, 1, 10, 0, 0, 2]) + struct.pack(">HHHH", 1000 + flow, 2000, size - 34, 0)
    head += struct.pack(">I", number)
    return head + random.Random(number).randbytes(size - len(head))


def number_of(frame: bytes) -> int:
    return int(struct.unpack_from(">I", frame, 42)[0])


def flow_of(frame: bytes) -> int:
    return int(struct.unpack_from(">H", frame, 34)[0]) - 1000


class Collector:
    """Takes the frames that come out at an end, until as many have come as must, and then it has been quiet for a while."""

    def __init__(self, end: socket.socket, quiet_s: float = 0.5) -> None:
        end.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 256 << 20)
        end.settimeout(quiet_s)
        self._end = end
        self.frames: list[bytes] = []
        self._awaited: int | None = None
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                frame = self._end.recv(70000)
            except TimeoutError:
                if self._awaited is None:
                    continue
                if len(self.frames) >= self._awaited or time.monotonic() > self._deadline:
                    return
                continue
            if frame.startswith(DST + SRC):
                self.frames.append(frame)

    def finish(self, count: int) -> list[bytes]:
        """What has come, all `count` frames and whatever else."""
        self._deadline = time.monotonic() + 60
        self._awaited = count
        self._thread.join(100)
        assert not self._thread.is_alive()
        return self.frames


def stats_of(plane: NativeDataplane, port: int) -> PortStats:
    return next(stats for stats in plane.ports() if stats.port == port)


def _left(stats: PortStats) -> int:
    """Frames that the switch has sent by a port, or had no room for."""
    return stats.tx_packets + stats.tx_dropped


@contextlib.contextmanager
def switch(program: bytes, workers: int = 1) -> Iterator[NativeDataplane]:
    plane = NativeDataplane(workers=workers)
    try:
        plane.load(program)
        for number, name in enumerate(NAMES):
            plane.add_port(number, name)
        yield plane
    finally:
        plane.close()


def set_mtu(mtu: int) -> None:
    for name in NAMES:
        for end in (name, f"{name}p"):
            ip("link", "set", end, "mtu", str(mtu))


@pytest.mark.parametrize("when", ["before the port is added", "after it"])
def test_frames_of_all_sizes(pairs: None, when: str) -> None:  # noqa: F811
    """From runts, which a veth does not pad, to jumbo frames, whether the rings' slots hold them or not."""
    rng = random.Random(5)
    sizes = [
        14,
        15,
        33,
        42,
        59,
        60,
        61,
        64,
        1513,
        1514,
        1515,
        1518,
        1522,
        1523,
        2048,
        4096,
        9000,
        9014,
        9018,
        9238,
        9239,
    ]
    sizes += [JUMBO_MTU + 14, *(rng.randrange(14, JUMBO_MTU + 15) for _ in range(60))]
    rng.shuffle(sizes)
    if when.startswith("before"):
        set_mtu(JUMBO_MTU)
    with switch(wire()) as plane, open_end(0) as first, open_end(1) as second:
        set_mtu(JUMBO_MTU)
        for source, target in ((first, second), (second, first)):
            frames = [(DST + SRC + b"\x88\xb5" + rng.randbytes(size))[:size] for size in sizes]
            collector = Collector(target)
            for frame in frames:
                source.send(frame)
            assert collector.finish(len(frames)) == frames
        for port in (0, 1):
            stats = stats_of(plane, port)
            assert (stats.rx_dropped, stats.tx_dropped) == (0, 0)
            assert stats.rx_bytes >= sum(sizes)


@pytest.mark.parametrize("size", [60, 1514, 9014])
def test_a_burst_larger_than_the_ring(pairs: None, size: int) -> None:  # noqa: F811
    """Nobody takes the frames for a while: those that find no place are counted, the others come out whole and in order."""
    count = 12_000 if size < 9000 else 3_000
    set_mtu(JUMBO_MTU)
    with switch(wire()) as plane, open_end(0) as first, open_end(1) as second:
        collector = Collector(second)
        before = stats_of(plane, 0)
        with plane.atomic():
            for number in range(count):
                first.send(numbered(number, size))
        wait_for(lambda: stats_of(plane, 0).rx_packets + stats_of(plane, 0).rx_dropped >= count)
        wait_for(lambda: _left(stats_of(plane, 1)) >= stats_of(plane, 0).rx_packets - before.rx_packets)
        after = stats_of(plane, 0)
        frames = collector.finish(after.rx_packets - before.rx_packets - stats_of(plane, 1).tx_dropped)
        numbers = [number_of(frame) for frame in frames]
        assert frames == [numbered(number, size) for number in numbers]
        assert all(earlier < later for earlier, later in itertools.pairwise(numbers))
        received, dropped = after.rx_packets - before.rx_packets, after.rx_dropped - before.rx_dropped
        assert (received + dropped, dropped > 0) == (count, True)
        assert len(frames) == received - stats_of(plane, 1).tx_dropped
        assert len(frames) > 100
        first.send(numbered(count, size))  # and it goes on
        end = Collector(second)
        assert end.finish(1) == [numbered(count, size)]


FLOWS, ROUNDS = 24, 400


def send_flows(end: socket.socket, plane: NativeDataplane) -> None:
    """Frames of many flows in turn, not faster than they are taken."""
    before = stats_of(plane, 0).rx_packets
    for number in range(ROUNDS):
        for flow in range(FLOWS):
            end.send(numbered(number, 100, flow))
        if number % 10 == 9:
            sent = (number + 1) * FLOWS
            wait_for(lambda sent=sent: stats_of(plane, 0).rx_packets - before >= sent)  # type: ignore[misc]


def check_flows(frames: list[bytes]) -> None:
    for flow in range(FLOWS):
        assert [number_of(frame) for frame in frames if flow_of(frame) == flow] == list(range(ROUNDS)), f"flow {flow}"


def test_two_threads_keep_the_order_of_each_flow(pairs: None) -> None:  # noqa: F811
    with switch(compiled("parallel"), workers=2) as plane:
        for port in (0, 1):
            plane.write_register("ingress.ports", port, 1 - port)
        with open_end(0) as first, open_end(1) as second:
            collector = Collector(second)
            send_flows(first, plane)
            frames = collector.finish(FLOWS * ROUNDS)
        stats = stats_of(plane, 0)
        assert (stats.rx_dropped, stats.tx_dropped, stats_of(plane, 1).tx_dropped) == (0, 0, 0)
        check_flows(frames)
        (seen,) = plane.read_counter("ingress.seen", 0)
        assert (seen.packets, seen.bytes) == (stats.rx_packets, stats.rx_bytes)
        assert seen.packets >= FLOWS * ROUNDS


JOIN = """
import ctypes, pathlib, socket, subprocess, time
from p4switch.native.library import load_runtime
quiet = pathlib.Path("/proc/sys/net/ipv6/conf/default/disable_ipv6")
if quiet.exists():
    quiet.write_text("1")
subprocess.run(["ip", "link", "add", "kvd", "type", "veth", "peer", "name", "kve"], check=True)
for end in ("kvd", "kve"):
    subprocess.run(["ip", "link", "set", end, "up"], check=True)
sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
sender.bind(("kve", 0))
library = load_runtime({})
library.kv_link_open.restype = ctypes.c_void_p
library.kv_link_open.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_uint32]
library.kv_link_receive.argtypes = [ctypes.c_void_p] * 4
library.kv_link_release.argtypes = library.kv_link_close.argtypes = library.kv_link_begin.argtypes = [ctypes.c_void_p]
frames, large, lost = (ctypes.create_string_buffer(size) for size in (1 << 16, 1 << 20, 8))
MARK = b"\\x02" * 12 + b"\\x88\\xb5"


def received(link):
    count = library.kv_link_receive(link, frames, large, lost)
    library.kv_link_release(link)
    return count


def settle():  # what the interfaces' own stacks have to say
    while sum(map(received, links)):
        time.sleep(0.1)


for group in (0, 1, 0xffff):
    links = [library.kv_link_open(b"kvd", group, 1 << 20) for _ in range(2)]
    assert None not in links, group
    sender.send(MARK + bytes(46))  # before the group is complete: nobody gets it
    for link in links:
        assert library.kv_link_begin(link) == 0
    time.sleep(0.2)
    settle()
    for number in range(20):
        sender.send(MARK + bytes([number]) * 46)
    count, until = 0, time.monotonic() + 60
    while count < 20 and time.monotonic() < until:
        count += sum(map(received, links))
    time.sleep(0.1)
    count += sum(map(received, links))
    assert count == 20, group  # each frame once
    for link in links:
        library.kv_link_close(link)
print("joined")
"""


def test_links_join_a_group_of_any_number() -> None:
    """The kernel numbers groups from 0 on: the first one after a boot is 0. In a namespace where nobody else has any."""
    command = ["unshare", "-n", sys.executable, "-c", JOIN]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert result.stdout == "joined\n", result.stderr


def test_a_register_counts_every_frame_whatever_the_threads(pairs: None) -> None:  # noqa: F811
    """A program that reads and writes a register stays on one thread, though two were asked for."""
    with switch(compile_file(PROGRAMS / "paths.p4")[0], workers=2) as plane, open_end(0) as first:
        end = Collector(first)
        order = bytes(6) + bytes([0, 3]) + struct.pack(">I", 1)  # index 3, value 1: out by port 1
        frames = 3000
        before = stats_of(plane, 0).rx_packets
        for number in range(frames):
            first.send(order + bytes(40) + number.to_bytes(2, "big"))
            if number % 100 == 99:
                wait_for(lambda sent=number + 1: stats_of(plane, 0).rx_packets - before >= sent)  # type: ignore[misc]
        end.finish(0)
        assert stats_of(plane, 0).rx_dropped == 0
        wait_for(lambda: plane.read_register("ingress.sums", 3) == [frames])
        assert plane.read_counter("ingress.seen", 3)[0].packets == frames


def test_a_port_that_is_added_under_load_gets_no_frame_twice(pairs: None) -> None:  # noqa: F811
    """Each thread has a socket on the interface: none must take frames before it shares them with the others."""
    stop = threading.Event()
    with switch(compiled("parallel"), workers=4) as plane, open_end(0) as source, open_end(1) as end:
        plane.write_register("ingress.ports", 0, 1)
        collector = Collector(end)

        def send() -> None:
            for number in itertools.count():
                if stop.is_set():
                    return
                with contextlib.suppress(OSError):  # the interface's queue is full
                    source.send(numbered(number, 60, number % 64))

        sender = threading.Thread(target=send)
        sender.start()
        try:
            for _ in range(30):
                plane.remove_port(0)
                plane.add_port(0, NAMES[0])
        finally:
            stop.set()
            sender.join()
        frames = collector.finish(1)
    numbers = [number_of(frame) for frame in frames]
    assert numbers
    assert len(numbers) == len(set(numbers))
