"""Ports on real interfaces: veth pairs in the test's own namespaces. Needs root."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from p4switch.dataplane import DataplaneError, PortStats, Status
from p4switch.native import NativeDataplane
from tests.p4switch.bmv2_builder import Document, assign, hexstr, op, ref

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="ports on interfaces need root")

TAG = f"kv{os.getpid() % 100000}"
NAMES = (f"{TAG}a", f"{TAG}b")
ETH_P_ALL = 3
SOL_PACKET, PACKET_VNET_HDR, PACKET_AUXDATA = 263, 15, 8


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def make_pair(name: str) -> None:
    """`name` for the switch, `name`p for the test."""
    ip("link", "add", name, "type", "veth", "peer", "name", f"{name}p")
    for end in (name, f"{name}p"):
        with open(f"/proc/sys/net/ipv6/conf/{end}/disable_ipv6", "w") as setting:
            setting.write("1")
        ip("link", "set", end, "up")


@pytest.fixture
def pairs() -> Iterator[None]:
    try:
        for name in NAMES:
            make_pair(name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no veth pairs here: {error.stderr.decode().strip()}")
    yield
    for name in NAMES:
        subprocess.run(["ip", "link", "del", name], check=False, capture_output=True)


def wire() -> bytes:
    """A program that sends what comes in on port 0 to port 1 and the other way round."""
    program = Document(headers={"h": [("dst", 48), ("src", 48), ("type", 16)]})
    out = op("^", ref("standard_metadata", "ingress_port"), hexstr(1))
    cross = program.action("cross", [], [assign(ref("standard_metadata", "egress_spec"), out)])
    program.table("t", "exact", [], [cross])
    return json.dumps(program.to_json()).encode()


@pytest.fixture
def dataplane(pairs: None) -> Iterator[NativeDataplane]:
    dataplane = NativeDataplane()
    dataplane.load(wire())
    for number, name in enumerate(NAMES):
        dataplane.add_port(number, name)
    yield dataplane
    dataplane.close()


def open_end(number: int) -> socket.socket:
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    end.bind((f"{NAMES[number]}p", 0))
    end.settimeout(60)
    return end


def receive(end: socket.socket, wanted: bytes) -> bytes:
    """The next frame that starts with `wanted`; frames of others are passed over."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        frame = end.recv(70000)
        if frame.startswith(wanted):
            return frame
    raise AssertionError("no frame came")


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


DST, SRC = b"\x02\0\0\0\0\x0a", b"\x02\0\0\0\0\x0b"


def test_frames_cross_both_ways(dataplane: NativeDataplane) -> None:
    with open_end(0) as first, open_end(1) as second:
        for size in (60, 1514):
            frame = (DST + SRC + b"\x88\xb5").ljust(size, b"x")
            first.send(frame)
            assert receive(second, DST) == frame
            second.send(frame)
            assert receive(first, DST) == frame
    stats = dataplane.ports()
    assert [(port.port, port.interface, port.up) for port in stats] == [(0, NAMES[0], True), (1, NAMES[1], True)]
    assert all(port.rx_packets >= 2 and port.tx_packets >= 2 for port in stats)
    assert all(port.tx_dropped == 0 for port in stats)


def test_an_unfinished_checksum_is_completed(dataplane: NativeDataplane) -> None:
    with open_end(0) as first, open_end(1) as second:
        first.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        payload = b"hello"
        head = (
            b"\x45\0"
            + struct.pack(">H", 28 + len(payload))
            + b"\0\1\0\0\x40\x11\0\0"
            + bytes([10, 0, 0, 1, 10, 0, 0, 2])
        )
        pseudo = sum(struct.unpack(">4H", head[12:20])) + 17 + 8 + len(payload)
        pseudo = (pseudo & 0xFFFF) + (pseudo >> 16)
        udp = struct.pack(">HHHH", 1000, 2000, 8 + len(payload), pseudo)
        vnet = struct.pack("<BBHHHH", 1, 0, 0, 0, 34, 6)  # NEEDS_CSUM from byte 34, field at 6
        first.send(vnet + DST + SRC + b"\x08\0" + head + udp + payload)
        frame = receive(second, DST)
        data = head[12:20] + struct.pack(">HH", 17, 8 + len(payload)) + frame[34:] + b"\0"
        total = sum(struct.unpack(f">{len(data) // 2}H", data))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        assert total == 0xFFFF


def test_a_vlan_tag_stays_in_the_frame(dataplane: NativeDataplane) -> None:
    with open_end(0) as first, open_end(1) as second:
        second.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        first.send((DST + SRC + b"\x81\0\x60\x2a\x08\0").ljust(64, b"v"))
        until = time.monotonic() + 60
        while time.monotonic() < until:
            frame, ancillary, _, _ = second.recvmsg(2000, 200)
            if frame.startswith(DST):
                break
        if frame[12:14] == b"\x81\0":
            assert frame[14:16] == b"\x60\x2a"
        else:  # this socket has its tag beside the frame
            assert struct.unpack_from("<H", ancillary[0][2], 16)[0] == 0x602A
            assert frame[12:14] == b"\x08\0"


def test_tcp_of_real_stacks_with_offloads(dataplane: NativeDataplane) -> None:
    """Large sends of a Linux stack (GSO, unfinished checksums) go through and arrive whole."""
    spaces = [f"{TAG}ns{i}" for i in (0, 1)]
    try:
        for number, space in enumerate(spaces):
            ip("netns", "add", space)
            ip("link", "set", f"{NAMES[number]}p", "netns", space)
            ip("-n", space, "addr", "add", f"10.78.0.{number + 1}/24", "dev", f"{NAMES[number]}p")
            ip("-n", space, "link", "set", f"{NAMES[number]}p", "up")
        server = (
            "import socket,hashlib;s=socket.create_server(('10.78.0.2',7));print('up',flush=True);c=s.accept()[0]\n"
        )
        server += "h=hashlib.sha256()\nwhile b:=c.recv(1<<20): h.update(b)\nprint(h.hexdigest())"
        client = "import socket,hashlib;b=bytes(range(256))*40000;c=socket.create_connection(('10.78.0.2',7),100)\n"
        client += "c.sendall(b);c.close();print(hashlib.sha256(b).hexdigest())"
        run = ["ip", "netns", "exec"]
        with subprocess.Popen([*run, spaces[1], "python3", "-c", server], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            sent = subprocess.run(
                [*run, spaces[0], "python3", "-c", client], capture_output=True, text=True, timeout=300, check=True
            )
            assert process.stdout.read().strip() == sent.stdout.strip()
        stats = {port.port: port for port in dataplane.ports()}
        assert stats[0].rx_bytes / stats[0].rx_packets > 3000, "the stack's large frames went through as they are"
    finally:
        for space in spaces:
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)


def test_an_interface_that_vanishes_and_comes_back(dataplane: NativeDataplane) -> None:
    def port(number: int) -> PortStats:
        return next(stat for stat in dataplane.ports() if stat.port == number)

    ip("link", "del", NAMES[1])
    wait_for(lambda: not port(1).up)
    with open_end(0) as first:
        first.send((DST + SRC + b"\x88\xb5").ljust(60, b"x"))
        wait_for(lambda: port(0).rx_packets >= 1)
    make_pair(NAMES[1])
    wait_for(lambda: port(1).up)
    with open_end(0) as first, open_end(1) as second:
        first.send((DST + SRC + b"\x88\xb5").ljust(60, b"y"))
        assert receive(second, DST).endswith(b"y")


def test_ports_are_added_and_removed_while_running(dataplane: NativeDataplane) -> None:
    with pytest.raises(DataplaneError, match="interface 'kvnone' does not exist") as caught:
        dataplane.add_port(7, "kvnone")
    assert caught.value.status is Status.NOT_FOUND
    with pytest.raises(DataplaneError, match="port 1 is in use"):
        dataplane.add_port(1, NAMES[0])
    dataplane.remove_port(1)
    assert [stat.port for stat in dataplane.ports()] == [0]
    with pytest.raises(DataplaneError, match="'1'"):
        dataplane.remove_port(1)
    dataplane.add_port(1, NAMES[1])
    with open_end(0) as first, open_end(1) as second:
        first.send((DST + SRC + b"\x88\xb5").ljust(60, b"z"))
        assert receive(second, DST).endswith(b"z")


def test_closing_waits_for_no_packet(dataplane: NativeDataplane) -> None:
    closing = threading.Thread(target=dataplane.close)
    closing.start()
    closing.join(60)
    assert not closing.is_alive()
