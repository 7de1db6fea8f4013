"""`Gate`: every port number is a port, and one client sends and receives the packets of all of them.

That is how simple_switch_grpc behaves with `--dp-grpc-server-addr`. The client gives each packet a number of its own choice,
which comes back with everything that the switch makes of the packet, copies and clones among it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from p4switch.dataplane import PortStats
from p4switch.endpoints.traffic import Traffic

_SLICE_MS = 100  # how long the switch can be kept from closing

Sink = Callable[[int, bytes, int], bool]
"""Takes a port, a frame that leaves by it, and its packet's id; may wait. False if nobody wants it any more."""


class GateSwitch(Protocol):
    """What a gate needs of a data plane."""

    def attach_all(self) -> None: ...
    def set_up(self, port: int, up: bool) -> None: ...
    def ready(self) -> bool: ...
    def receive(self, port: int, frame: bytes, packet_id: int = 0) -> None: ...
    def settled(self, timeout_ms: int) -> int | None: ...


class _Port:
    """What is known of a port."""

    def __init__(self, interface: str) -> None:
        self.interface, self.up = interface, True
        self.traffic = Traffic()


class Gate:
    """The ports of a switch, for one client at a time."""

    def __init__(self, switch: GateSwitch) -> None:
        self._switch = switch
        self._changed = threading.Condition()
        self._ports: dict[int, _Port] = {}
        self._sink: Sink | None = None
        self._handled = 0
        self._closed = False
        switch.attach_all()

    def name(self, number: int, interface: str) -> None:
        """Call a port so in the statistics; nothing is opened."""
        self._port(number).interface = interface

    def _port(self, number: int) -> _Port:
        with self._changed:
            return self._ports.setdefault(number, _Port("grpc"))

    def ready(self) -> bool:
        """Whether the switch has a program that would see the packets."""
        return self._switch.ready()

    def enter(self, sink: Sink) -> bool:
        """Let what leaves the switch go to `sink`; False if that is taken already."""
        with self._changed:
            if self._sink is not None:
                return False
            self._sink = sink
        return True

    def leave(self) -> None:
        """Let what leaves the switch be lost, until the next client enters."""
        with self._changed:
            self._sink = None

    def receive(self, number: int, frame: bytes, packet_id: int) -> None:
        """A frame came in on port `number`; returns when it has been through the switch, or waits in one of its queues."""
        self._port(number).traffic.count_received(frame)
        self._switch.receive(number, frame, packet_id)

    def send(self, number: int, frame: bytes, packet_id: int) -> None:
        """A frame leaves by port `number`."""
        port, sink = self._port(number), self._sink
        try:
            port.traffic.count_sent(frame, sink is not None and sink(number, frame, packet_id))
        finally:
            with self._changed:
                self._handled += 1
                self._changed.notify_all()

    def settle(self) -> None:
        """Wait until all is sent that comes of the packets received so far, or the switch closes."""
        pushed = None
        while pushed is None and not self._closed:
            pushed = self._switch.settled(_SLICE_MS)
        with self._changed:
            self._changed.wait_for(lambda: self._closed or (pushed is not None and self._handled >= pushed))

    def set_up(self, number: int, up: bool) -> None:
        """Tell selectors and multicast groups that a port is up or down. Packets come and go all the same, as in BMv2.

        Raises:
            DataplaneError: NOT_FOUND; the number cannot be a port's.
        """
        self._switch.set_up(number, up)
        self._port(number).up = up

    def stats(self) -> Sequence[PortStats]:
        """The ports that have been named, or seen a packet or a change of state."""
        with self._changed:
            ports = list(self._ports.items())
        return [port.traffic.stats(number, port.interface, port.up) for number, port in ports]

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
