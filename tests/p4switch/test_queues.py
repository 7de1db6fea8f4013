"""Queues between ingress and egress: rates, depths and priorities, and what packets are told of them."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from p4switch.dataplane import DataplaneError
from p4switch.native import NativeDataplane
from p4switch.thrift.server import make_server
from p4switch.thrift.state import SwitchState
from tests.p4switch.compiled import compiled
from tests.p4switch.test_cli import say
from tests.p4switch.test_differential import read_pcap, write_pcap
from tests.ports import free_port

SLOW = 1
"""Packets a second: a burst is at its queue before the second of it may leave, also on a busy machine."""


class Left(msgspec.Struct, frozen=True):
    """A packet that has left: when, and what it says."""

    at: float
    rest: bytes
    priority: int
    number: int
    enq_timestamp: int
    enq_qdepth: int
    deq_timedelta: int
    deq_qdepth: int


class Sink:
    """A port that keeps what is sent to it."""

    name = "sink"

    def __init__(self) -> None:
        self.left: list[Left] = []

    def send(self, frame: bytes) -> bool:
        self.left.append(Left(time.monotonic(), frame[20:], *struct.unpack(">BBIIII", frame[2:20])))
        return True

    def close(self) -> None:
        pass

    def wait(self, count: int, seconds: float = 100.0) -> list[Left]:
        """What has left, once that is `count` packets."""
        deadline = time.monotonic() + seconds
        while len(self.left) < count:
            assert time.monotonic() < deadline, f"{len(self.left)} of {count} packets left"
            time.sleep(0.001)
        return self.left


@contextmanager
def running(queues: int = 1) -> Iterator[tuple[NativeDataplane, dict[int, Sink]]]:
    plane = NativeDataplane(queues=queues)
    try:
        plane.load(compiled("queues"))
        sinks = {number: Sink() for number in (1, 2)}
        for number, sink in sinks.items():
            plane.endpoints.put(number, sink)
        yield plane, sinks
    finally:
        plane.close()


def wish(port: int, priority: int = 0, number: int = 0) -> bytes:
    return struct.pack(">HBB", port, priority, number) + bytes([number]) * 30


def test_without_queues_nothing_waits_and_other_priorities_are_dropped() -> None:
    with running() as (plane, sinks):
        for number in range(3):
            plane.receive(9, wish(1, 0, number))
        plane.receive(9, wish(1, 1, 3))
        left = sinks[1].wait(3)
        assert [(item.number, item.enq_qdepth, item.deq_timedelta, item.deq_qdepth) for item in left] == [
            (0, 0, 0, 0),
            (1, 0, 0, 0),
            (2, 0, 0, 0),
        ]
        assert plane.drops()["no_such_queue"] == 1


def test_a_rate_lets_packets_go_one_after_the_other() -> None:
    with running() as (plane, sinks):
        plane.set_queue_rate(SLOW, port=1)
        started = time.monotonic()
        for number in range(4):
            plane.receive(9, wish(1, 0, number))
            plane.receive(9, wish(2, 0, number))
        assert len(sinks[2].wait(4)) == 4, "another port's packets do not wait"
        left = sinks[1].wait(4)
        assert [item.number for item in left] == list(range(4))
        assert left[-1].at - started >= 3
        assert [item.enq_qdepth for item in left] == [0, 0, 1, 2]
        assert [item.deq_qdepth for item in left] == [0, 2, 1, 0]
        assert left[0].deq_timedelta == 0
        for place, item in enumerate(left[1:], 1):
            assert item.deq_timedelta >= 1_000_000 * (place - 1), "microseconds from its arrival"
            assert item.rest == bytes([place]) * 30
        assert left[1].enq_timestamp <= left[3].enq_timestamp
        plane.set_queue_rate(0)
        plane.receive(9, wish(1, 0, 7))
        assert sinks[1].wait(5)[-1].enq_qdepth == 0


def test_a_depth_drops_what_comes_to_a_full_queue() -> None:
    with running() as (plane, sinks):
        plane.set_queue_depth(2)
        plane.set_queue_rate(SLOW)
        for number in range(5):
            plane.receive(9, wish(1, 0, number))
        assert [item.number for item in sinks[1].wait(3)] == [0, 1, 2]
        assert plane.drops()["egress_queue_full"] == 2
        plane.set_queue_rate(0)
        plane.set_queue_depth(0, port=2)
        plane.receive(9, wish(2))
        plane.receive(9, wish(1, 0, 9))
        assert sinks[1].wait(4)[-1].number == 9
        assert (sinks[2].left, plane.drops()["egress_queue_full"]) == ([], 3)


def test_the_highest_priority_goes_first() -> None:
    with running(queues=4) as (plane, sinks):
        plane.set_queue_rate(SLOW)
        for priority in (0, 1, 2):
            for _ in range(2):
                plane.receive(9, wish(1, priority))
        assert [item.priority for item in sinks[1].wait(3)] == [0, 1, 2], "the first of each queue goes at once"
        with plane.atomic():
            time.sleep(2.5 / SLOW)  # the time of all the others comes while no packet is let through
        assert [item.priority for item in sinks[1].wait(6)[3:]] == [2, 1, 0]
        plane.receive(9, wish(1, 4))
        assert plane.drops()["no_such_queue"] == 1


def test_a_rate_is_of_one_priority() -> None:
    with running(queues=2) as (plane, sinks):
        plane.set_queue_rate(SLOW, port=1, priority=0)
        for number in range(3):
            plane.receive(9, wish(1, 0, number))
            plane.receive(9, wish(1, 1, 10 + number))
        assert [item.number for item in sinks[1].wait(4)] == [0, 10, 11, 12]
        assert [item.number for item in sinks[1].wait(6)[4:]] == [1, 2]


def test_a_clone_of_a_class_that_has_no_queue_takes_the_highest() -> None:
    with running() as (plane, sinks):
        plane.set_clone_session(5, [(2, 0)], truncate=0, class_of_service=7)
        plane.receive(9, wish(1, 0, 255))
        assert len(sinks[1].wait(1)) == len(sinks[2].wait(1)) == 1
        assert plane.drops()["no_such_queue"] == 0


def test_what_waits_goes_with_its_program() -> None:
    with running() as (plane, sinks):
        plane.set_queue_rate(1)
        for number in range(4):
            plane.receive(9, wish(1, 0, number))
        sinks[1].wait(1)
        plane.load(compiled("queues"))
        assert plane.drops()["egress_queue_full"] == 3
        plane.set_queue_rate(0)
        plane.receive(9, wish(2))
        sinks[2].wait(1)
        plane.set_queue_rate(1)
        plane.receive(9, wish(1))
        plane.receive(9, wish(1))  # waits while the data plane is closed


def test_what_is_no_queue_is_refused() -> None:
    with running(queues=2) as (plane, _):
        for place in ((70_000, None), (-3, None), (1, 2), (1, -1)):
            with pytest.raises(DataplaneError, match="has no queue of priority"):
                plane.set_queue_rate(10, *place)
        with pytest.raises(DataplaneError, match="the depth of a queue cannot be -1"):
            plane.set_queue_depth(-1)


def test_simple_switch_cli_sets_them() -> None:
    with running() as (plane, sinks):
        server = make_server(SwitchState(plane), "127.0.0.1", 0)
        server.start()
        try:
            answers = say(
                server.port,
                f"set_queue_rate {SLOW}\nset_queue_depth 1 1\nset_queue_depth 9 2 0\nset_queue_rate {SLOW} 1 3\n",
            )
        finally:
            server.stop()
        assert answers == "Error: There is no such queue, or it cannot be set so\n"
        for number in range(4):
            plane.receive(9, wish(1, 0, number))
            plane.receive(9, wish(2, 0, number))
        assert [item.number for item in sinks[1].wait(2)] == [0, 1]
        assert [item.number for item in sinks[2].wait(4)] == [0, 1, 2, 3]


_COMMANDS = "set_queue_rate 1 1\nset_queue_depth 2 1 2\nset_queue_depth 0 2 1\n"
_WAIT_S = 5
"""From the switch's start to the first packet: time enough for the commands."""
_TRIES = 5
"""Of BMv2: on a busy machine its egress thread comes late, and packets meet one that would have left long ago."""


def _through(switch: list[str], folder: Path, frames: list[bytes]) -> dict[tuple[int, int], list[tuple[int, ...]]]:
    """What left a switch with four queues a port, by port and priority: numbers, and the depths that those met which waited.

    (What does not wait may meet its predecessor in BMv2, whose egress is a thread of its own.)
    """
    folder.mkdir()
    (folder / "program.json").write_bytes(compiled("queues"))
    for port in range(3):
        write_pcap(folder / f"port{port}_in.pcap", frames if port == 0 else [], apart_us=110_000)
    thrift = free_port()
    interfaces = [word for port in range(3) for word in ("-i", f"{port}@port{port}")]
    arguments = ["--use-files", str(_WAIT_S), "--thrift-port", str(thrift), "--device-id", str(thrift), "program.json"]
    process = subprocess.Popen([*switch, *interfaces, *arguments, "--", "--priority-queues", "4"], cwd=folder)
    try:
        deadline = time.monotonic() + _WAIT_S - 1
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", thrift), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        say(thrift, _COMMANDS)
        time.sleep(_WAIT_S + 4)
    finally:
        process.terminate()
        process.wait(10)
    found: dict[tuple[int, int], list[tuple[int, ...]]] = {}
    for port in (1, 2):
        for frame in read_pcap(folder / f"port{port}_out.pcap"):
            priority, number, _, enqueued, waited, dequeued = struct.unpack(">BBIIII", frame[2:20])
            met = (enqueued, dequeued) if waited > 100_000 else ()
            found.setdefault((port, priority), []).append((number, *met))
    return found


def test_bmv2_does_the_same(tmp_path: Path) -> None:
    bmv2 = shutil.which("simple_switch")
    if bmv2 is None:
        pytest.skip("simple_switch is not on the PATH")
    wishes = [(1, 0)] * 2 + [(1, 2)] * 4 + [(2, 0), (2, 1), (1, 5)]
    frames = [wish(port, priority, number) for number, (port, priority) in enumerate(wishes)]
    ours = [sys.executable, "-c", "import sys; from p4switch.main import run; sys.exit(run(sys.argv[1:], simple=True))"]
    native = _through(ours, tmp_path / "native", frames)
    assert len(native[1, 2]) == 3, "one goes straight on, two wait, one finds the queue full"
    assert set(native) == {(1, 0), (1, 2), (2, 0)}
    for number in range(_TRIES):
        reference = _through([bmv2], tmp_path / str(number), frames)
        if reference == native:
            break
    assert native == reference
