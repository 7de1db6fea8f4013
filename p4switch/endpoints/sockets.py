"""Sockets as ports.

    unix:PATH[,PEER]            datagrams on a socket file, to PEER or else to whoever sent last
    udp:HOST:PORT[,HOST:PORT]   the same over UDP
    tcp:HOST:PORT               listens; each frame follows its length in four big-endian bytes, as QEMU's stream netdev has it

A datagram is a frame. Several clients of a TCP port share it as they would share a hub.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import threading
from collections.abc import Callable
from typing import Protocol

from p4switch.dataplane import DataplaneError, Status

SCHEMES = ("unix", "udp", "tcp")
MAX_FRAME = 65535
_BUFFER = 4 << 20

log = logging.getLogger("p4switch.ports")

Receive = Callable[[int, bytes], None]
Address = str | tuple[str, int]


class SocketEndpoint(Protocol):
    """A port whose sockets `SocketLoop` watches."""

    number: int

    @property
    def name(self) -> str: ...
    def sockets(self) -> list[socket.socket]: ...
    def readable(self, ready: socket.socket) -> list[bytes]:
        """The frames that have come in on one of the sockets."""

    def send(self, frame: bytes) -> bool: ...
    def close(self) -> None: ...


class SocketLoop:
    """One thread that reads from the sockets of all ports."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._closing = False
        self._lock = threading.Lock()
        self._changes: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._run, name="sockets", daemon=True)
        self._thread.start()

    def watch(self, endpoint: SocketEndpoint) -> None:
        for each in endpoint.sockets():
            self.watch_socket(endpoint, each)

    def watch_socket(self, endpoint: SocketEndpoint, each: socket.socket) -> None:
        self._later(lambda: self._register(endpoint, each))

    def _register(self, endpoint: SocketEndpoint, each: socket.socket) -> None:
        if each.fileno() >= 0:
            self._selector.register(each, selectors.EVENT_READ, endpoint)

    def forget(self, endpoint: object) -> None:
        """Watch an endpoint's sockets no more; returns when that is so."""
        done = threading.Event()

        def unregister() -> None:
            for key in list(self._selector.get_map().values()):
                if key.data is endpoint:
                    self._selector.unregister(key.fileobj)
            done.set()

        self._later(unregister)
        if threading.current_thread() is not self._thread:
            done.wait(5)

    def forget_socket(self, each: socket.socket) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(each)

    def _later(self, change: Callable[[], None]) -> None:
        with self._lock:
            self._changes.append(change)
        with contextlib.suppress(OSError):
            self._wake_write.send(b"x")

    def _run(self) -> None:
        while not self._closing:
            for key, _ in self._selector.select():
                if key.data is None:
                    with contextlib.suppress(BlockingIOError):
                        self._wake_read.recv(4096)
                    continue
                assert isinstance(key.fileobj, socket.socket)
                try:
                    for frame in key.data.readable(key.fileobj):
                        self._receive(key.data.number, frame)
                except Exception:
                    log.exception("port %d: a frame could not be taken", key.data.number)
            with self._lock:
                changes, self._changes = self._changes, []
            for change in changes:
                change()

    def close(self) -> None:
        self._closing = True
        self._later(lambda: None)
        self._thread.join()
        self._selector.close()
        self._wake_read.close()
        self._wake_write.close()


class Datagrams:
    """A UDP or UNIX datagram socket."""

    def __init__(self, number: int, name: str, sock: socket.socket, peer: Address | None, path: str | None) -> None:
        self.number = number
        self.name = name
        self._socket = sock
        self._fixed = peer is not None
        self._peer: Address | None = peer
        self._path = path

    def sockets(self) -> list[socket.socket]:
        return [self._socket]

    def readable(self, ready: socket.socket) -> list[bytes]:
        frames: list[bytes] = []
        for _ in range(64):
            try:
                frame, peer = ready.recvfrom(MAX_FRAME)
            except (BlockingIOError, ConnectionError):
                break
            if not self._fixed and peer:
                self._peer = peer
            frames.append(frame)
        return frames

    def send(self, frame: bytes) -> bool:
        if self._peer is None:
            return False
        try:
            self._socket.sendto(frame, self._peer)
        except OSError:  # nobody is there, or it does not keep up
            return False
        return True

    def close(self) -> None:
        self._socket.close()
        if self._path is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._path)


class Streams:
    """A listening TCP socket and its clients."""

    def __init__(self, number: int, name: str, listener: socket.socket, loop: SocketLoop) -> None:
        self.number = number
        self.name = name
        self._listener = listener
        self._loop = loop
        self._lock = threading.Lock()
        self._clients: dict[socket.socket, bytearray] = {}

    def sockets(self) -> list[socket.socket]:
        return [self._listener]

    def readable(self, ready: socket.socket) -> list[bytes]:
        if ready is self._listener:
            with contextlib.suppress(OSError):
                client, _ = ready.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client.settimeout(1)
                with self._lock:
                    self._clients[client] = bytearray()
                self._loop.watch_socket(self, client)
            return []
        try:
            data = ready.recv(1 << 18)
        except OSError:
            data = b""
        pending = self._clients.get(ready)
        if not data or pending is None:
            self._drop(ready)
            return []
        pending += data
        frames: list[bytes] = []
        while len(pending) >= 4:
            size = int.from_bytes(pending[:4], "big")
            if not 0 < size <= MAX_FRAME:
                log.warning("port %d: a client announced a frame of %d bytes and is dropped", self.number, size)
                self._drop(ready)
                break
            if len(pending) < 4 + size:
                break
            frames.append(bytes(pending[4 : 4 + size]))
            del pending[: 4 + size]
        return frames

    def _drop(self, client: socket.socket) -> None:
        """In the loop's thread."""
        with self._lock:
            self._clients.pop(client, None)
        self._loop.forget_socket(client)
        client.close()

    def send(self, frame: bytes) -> bool:
        sent = False
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            try:
                client.sendall(len(frame).to_bytes(4, "big") + frame)
                sent = True
            except OSError:
                # A frame may be half sent, so the stream is of no use any more; the loop sees its end.
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
        return sent

    def close(self) -> None:
        self._listener.close()
        with self._lock:
            clients, self._clients = list(self._clients), {}
        for client in clients:
            client.close()


def _host_port(text: str, where: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise DataplaneError(Status.INVALID_ARGUMENT, f"{where}: {text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def open_endpoint(number: int, interface: str, loop: SocketLoop) -> SocketEndpoint:
    """The socket that `interface` describes.

    Raises:
        DataplaneError: the description is malformed, or the address cannot be had.
    """
    scheme, _, rest = interface.partition(":")
    where = f"port {number}"
    local, comma, remote = rest.partition(",")
    if not local or (comma and not remote) or (scheme == "tcp" and comma):
        raise DataplaneError(
            Status.INVALID_ARGUMENT,
            f"{where}: {interface!r} is not unix:PATH[,PEER], udp:HOST:PORT[,HOST:PORT] or tcp:HOST:PORT",
        )
    try:
        if scheme == "unix":
            return _open_unix(number, interface, local, remote or None)
        address = _host_port(local, where)
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        if scheme == "udp":
            peer = _host_port(remote, where) if remote else None
            sock = socket.socket(family, socket.SOCK_DGRAM)
            return Datagrams(number, interface, _ready(sock, address), peer, None)
        listener = socket.create_server(address, family=family)
        listener.setblocking(False)
        return Streams(number, interface, listener, loop)
    except OSError as error:
        raise DataplaneError(
            Status.FAILED_PRECONDITION, f"{where}: cannot open {interface!r}: {error.strerror or error}"
        ) from None


def _open_unix(number: int, interface: str, path: str, peer: str | None) -> Datagrams:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with contextlib.suppress(OSError):
        # A socket file that nobody reads is left from a switch that was killed.
        sock.connect(path)
        sock.close()
        raise DataplaneError(Status.FAILED_PRECONDITION, f"port {number}: {path!r} is in use")
    sock.close()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    if os.path.exists(path) and not os.path.isfile(path):
        with contextlib.suppress(OSError):
            os.unlink(path)
    return Datagrams(number, interface, _ready(sock, path), peer, path)


def _ready(sock: socket.socket, address: Address) -> socket.socket:
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock
