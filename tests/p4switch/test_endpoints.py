"""Sockets as ports: frames without root."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from p4switch.dataplane import Action, DataplaneError, Match, PortStats
from p4switch.native import NativeDataplane
from tests.p4switch.compiled import compiled
from tests.p4switch.test_cli import probe
from tests.ports import free_port


@pytest.fixture
def plane() -> Iterator[NativeDataplane]:
    """Sends what is for address 0.0.0.N to port N."""
    plane = NativeDataplane()
    plane.load(compiled("tools"))
    for port in (1, 3, 4):
        match = Match(port.to_bytes(4, "big"), b"\xff" * 4)
        plane.insert_entry("I.routes", match, Action("I.forward", port.to_bytes(2, "big")))
    yield plane
    plane.close()


def port_of(plane: NativeDataplane, number: int) -> PortStats:
    return next(port for port in plane.ports() if port.port == number)


def datagram_socket(family: int, address: str | tuple[str, int]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind(address)
    sock.settimeout(100)
    return sock


def test_unix_sockets_with_a_peer_and_without(plane: NativeDataplane, tmp_path: Path) -> None:
    paths = {name: str(tmp_path / name) for name in ("one", "two", "peer", "other")}
    plane.add_port(1, f"unix:{paths['one']},{paths['peer']}")
    plane.add_port(4, f"unix:{paths['two']}")
    peer, other = (datagram_socket(socket.AF_UNIX, paths[name]) for name in ("peer", "other"))
    peer.sendto(probe(4), paths["one"])  # nobody has spoken on port 2 yet
    deadline = time.monotonic() + 100
    while port_of(plane, 4).tx_dropped == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    other.sendto(probe(1), paths["two"])
    assert peer.recv(100) == probe(1)
    peer.sendto(probe(4), paths["one"])
    assert other.recv(100) == probe(4)
    one, two = port_of(plane, 1), port_of(plane, 4)
    assert (one.rx_packets, one.tx_packets, one.tx_bytes, one.interface) == (
        2,
        1,
        len(probe(1)),
        f"unix:{paths['one']},{paths['peer']}",
    )
    assert two.rx_packets == 1
    with pytest.raises(DataplaneError, match="in use"):
        plane.add_port(3, f"unix:{paths['one']}")
    with pytest.raises(DataplaneError, match="port 1 is in use"):
        plane.add_port(1, f"unix:{tmp_path}/three")
    plane.remove_port(1)
    assert not Path(paths["one"]).exists()
    assert [port.port for port in plane.ports()] == [4]
    with pytest.raises(DataplaneError, match="port"):
        plane.remove_port(1)
    plane.add_port(1, f"unix:{paths['one']},{paths['peer']}")  # and it can come back
    other.sendto(probe(1), paths["two"])
    assert peer.recv(100) == probe(1)
    for sock in (peer, other):
        sock.close()


def test_udp(plane: NativeDataplane) -> None:
    peer = datagram_socket(socket.AF_INET, ("127.0.0.1", 0))
    number = free_port(socket.SOCK_DGRAM)
    plane.add_port(3, f"udp:127.0.0.1:{number},127.0.0.1:{peer.getsockname()[1]}")
    peer.sendto(probe(3), ("127.0.0.1", number))
    assert peer.recv(100) == probe(3)
    peer.close()


def exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        assert part, "the connection ended"
        data += part
    return data


def test_tcp_frames_follow_their_length(plane: NativeDataplane) -> None:
    number = free_port()
    plane.add_port(1, f"tcp:127.0.0.1:{number}")
    clients = [socket.create_connection(("127.0.0.1", number), 100) for _ in range(2)]
    framed = len(probe(1)).to_bytes(4, "big") + probe(1)
    deadline = time.monotonic() + 100
    clients[1].sendall(framed[:3])
    time.sleep(0.05)
    clients[1].sendall(framed[3:] + framed)
    assert exactly(clients[1], 2 * len(framed)) == 2 * framed
    clients[0].sendall(framed)
    assert exactly(clients[0], len(framed)) == framed
    clients[1].sendall(b"\xff\xff\xff\xff")  # no frame is that long
    rest = b""
    while time.monotonic() < deadline and (part := clients[1].recv(100)):
        rest += part
    assert rest in (b"", framed)
    for client in clients:
        client.close()


@pytest.mark.parametrize(
    ("interface", "words"),
    [
        ("unix:", "unix:PATH"),
        ("unix:a,", "unix:PATH"),
        ("udp:9000", "HOST:PORT"),
        ("udp:127.0.0.1:99999", "HOST:PORT"),
        ("tcp:127.0.0.1:1,127.0.0.1:2", "tcp:HOST:PORT"),
        ("unix:/no/such/directory/socket", "No such file"),
        ("tcp:192.0.2.1:80", "cannot open"),
    ],
)
def test_what_cannot_be_a_port(plane: NativeDataplane, interface: str, words: str) -> None:
    with pytest.raises(DataplaneError, match=f"port 1.*{words}"):
        plane.add_port(1, interface)
    assert plane.ports() == []
