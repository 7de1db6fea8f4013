"""Copies of the packets of every port: as pcap files (`--pcap`) and in the log (`--dump-packet-data`)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from p4switch.endpoints.pcap import PcapWriter

log = logging.getLogger("p4switch.packets")


class Capture:
    """Takes frames from a data plane's tap.

    Args:
        directory: of INTERFACE_in.pcap and INTERFACE_out.pcap, or None for no files.
        dump_bytes: how much of each frame is logged, 0 for nothing.
        interface_of: the name of a port's interface, None where there is none.
    """

    def __init__(self, directory: Path | None, dump_bytes: int, interface_of: Callable[[int], str | None]) -> None:
        self._directory = directory
        self._dump_bytes = dump_bytes
        self._interface_of = interface_of
        self._files: dict[tuple[int, bool], PcapWriter] = {}
        self._lock = threading.Lock()

    def __call__(self, port: int, frame: bytes, leaves: bool) -> None:
        if self._dump_bytes:
            text = frame[: self._dump_bytes].hex()
            way = (
                "Sending packet of length %d on port %d: %s"
                if leaves
                else "Received packet of length %d on port %d: %s"
            )
            log.info(way, len(frame), port, text)
        if self._directory is not None:
            with self._lock:
                writer = self._files.get((port, leaves))
                if writer is None:
                    interface = self._interface_of(port)
                    if interface is None:
                        return  # nothing is behind that port
                    name = f"{interface.replace('/', '_')}_{'out' if leaves else 'in'}.pcap"
                    writer = self._files[port, leaves] = PcapWriter(self._directory / name)
                writer.write(frame)

    def close(self) -> None:
        with self._lock:
            for writer in self._files.values():
                writer.close()
            self._files.clear()
