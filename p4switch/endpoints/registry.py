"""`Endpoints`: the sockets and files behind ports, and what passed through each."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Protocol

from p4switch.dataplane import DataplaneError, PortStats, Status
from p4switch.endpoints.gate import Gate, GateSwitch
from p4switch.endpoints.sockets import SCHEMES, SocketLoop, open_endpoint
from p4switch.endpoints.traffic import Traffic

log = logging.getLogger("p4switch.ports")


class Switch(GateSwitch, Protocol):
    """What endpoints need of a data plane."""

    def attach(self, port: int) -> None: ...
    def detach(self, port: int) -> None: ...


class Endpoint(Protocol):
    """What is behind a port."""

    @property
    def name(self) -> str: ...

    def send(self, frame: bytes) -> bool:
        """Hand on a frame that leaves the switch; False if nobody takes it."""

    def close(self) -> None: ...


class _Port:
    """An endpoint in its place."""

    def __init__(self, number: int, endpoint: Endpoint) -> None:
        self.number = number
        self.endpoint = endpoint
        self.traffic = Traffic()

    def stats(self) -> PortStats:
        return self.traffic.stats(self.number, self.endpoint.name, up=True)


def is_endpoint(interface: str) -> bool:
    """Whether a port's interface is one of ours: a scheme, a colon, an address."""
    return interface.partition(":")[0] in SCHEMES and ":" in interface


class Endpoints:
    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._lock = threading.Lock()
        self._ports: dict[int, _Port] = {}
        self._loop: SocketLoop | None = None
        self.gate: Gate | None = None

    def open_gate(self) -> Gate:
        """Make every number a port behind one gate; interfaces and sockets are no ports then."""
        with self._lock:
            self.gate = Gate(self._switch)
        return self.gate

    def add(self, number: int, interface: str) -> None:
        """Open a socket as port `number`.

        Raises:
            DataplaneError: the address is malformed or in use, or the port is.
        """
        with self._lock:
            if self._loop is None:
                self._loop = SocketLoop(self.receive)
            endpoint = open_endpoint(number, interface, self._loop)
        try:
            self.put(number, endpoint)
        except DataplaneError:
            endpoint.close()
            raise
        with self._lock:
            self._loop.watch(endpoint)

    def put(self, number: int, endpoint: Endpoint) -> None:
        """Make an endpoint that is open already port `number`."""
        with self._lock:
            if number in self._ports:
                raise DataplaneError(Status.ALREADY_EXISTS, f"port {number} is in use")
            self._switch.attach(number)
            self._ports[number] = _Port(number, endpoint)

    def remove(self, number: int) -> bool:
        """Close what is behind port `number`; False if that is not ours."""
        with self._lock:
            port = self._ports.pop(number, None)
            if port is None:
                return False
            self._switch.detach(number)
            if self._loop is not None:
                self._loop.forget(port.endpoint)
        port.endpoint.close()
        return True

    def stats(self) -> Sequence[PortStats]:
        if self.gate is not None:
            return self.gate.stats()
        with self._lock:
            return [port.stats() for port in self._ports.values()]

    def receive(self, number: int, frame: bytes) -> None:
        """A frame came in on port `number`."""
        port = self._ports.get(number)
        if port is not None:
            port.traffic.count_received(frame)
            self._switch.receive(number, frame)

    def send(self, number: int, frame: bytes, packet_id: int = 0) -> None:
        """A frame leaves by port `number`; it comes of the packet that was received with `packet_id`."""
        if self.gate is not None:
            self.gate.send(number, frame, packet_id)
            return
        port = self._ports.get(number)
        if port is None:
            return
        port.traffic.count_sent(frame, port.endpoint.send(frame))

    def close(self) -> None:
        if self.gate is not None:
            self.gate.close()
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.close()
        for number in list(self._ports):
            self.remove(number)
