"""`Traffic`: the counters of a port that is no network interface."""

from __future__ import annotations

from p4switch.dataplane import PortStats


class Traffic:
    """What passed through a port. Each counter has one thread that writes it."""

    def __init__(self) -> None:
        self._received, self._received_bytes, self._sent, self._sent_bytes, self._unsent = 0, 0, 0, 0, 0

    def count_received(self, frame: bytes) -> None:
        self._received += 1
        self._received_bytes += len(frame)

    def count_sent(self, frame: bytes, taken: bool) -> None:
        """A frame left the switch; `taken` if somebody had it."""
        if taken:
            self._sent += 1
            self._sent_bytes += len(frame)
        else:
            self._unsent += 1

    def stats(self, port: int, interface: str, up: bool) -> PortStats:
        return PortStats(
            port=port,
            interface=interface,
            up=up,
            rx_packets=self._received,
            rx_bytes=self._received_bytes,
            tx_packets=self._sent,
            tx_bytes=self._sent_bytes,
            rx_dropped=0,
            tx_dropped=self._unsent,
        )
