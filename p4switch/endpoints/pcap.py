"""pcap files and FIFOs as ports, as simple_switch's --use-files has them: IFACE_in.pcap is read, IFACE_out.pcap is written.

Packets are taken in the order of their time stamps, as far as they are there: a FIFO may be written while the switch runs.
"""

from __future__ import annotations

import logging
import os
import select
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from p4switch.dataplane import DataplaneError

log = logging.getLogger("p4switch.ports")

_MAGIC = {0xA1B2C3D4: 1_000, 0xA1B23C4D: 1}  # nanoseconds of a time stamp's fraction
_ETHERNET = 1
MAX_PACKET = 262_144
_MAX_ROUNDS = 64
"""So often what has come meanwhile is read before what is there is processed: a writer without pause must not hold it up."""


class PcapError(Exception):
    """A file is no pcap file, or not one of Ethernet frames."""


@dataclass(slots=True)
class PcapParser:
    """Takes packets out of the bytes of a pcap file as they come."""

    name: str
    _pending: bytearray = field(default_factory=bytearray)
    _order: str = ""
    _unit_ns: int = 1

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """(time in nanoseconds, frame) of the packets that `data` completes.

        Raises:
            PcapError: the bytes are not a pcap file's.
        """
        self._pending += data
        if not self._order:
            if len(self._pending) < 24:
                return []
            self._read_head()
        packets: list[tuple[int, bytes]] = []
        while len(self._pending) >= 16:
            seconds, fraction, captured, length = struct.unpack_from(f"{self._order}IIII", self._pending)
            if captured != length or captured > MAX_PACKET:
                raise PcapError(f"{self.name}: a packet of {length} bytes was captured incompletely")
            if len(self._pending) < 16 + captured:
                break
            packets.append(
                (seconds * 1_000_000_000 + fraction * self._unit_ns, bytes(self._pending[16 : 16 + captured]))
            )
            del self._pending[: 16 + captured]
        return packets

    def _read_head(self) -> None:
        for order in ("<", ">"):
            magic, _, _, _, _, _, link = struct.unpack_from(f"{order}IHHiIII", self._pending)
            if magic in _MAGIC:
                # Link type 0 is what BMv2 writes for frames that it does not look into.
                if link & 0xFFFF not in (0, _ETHERNET):
                    raise PcapError(f"{self.name}: link type {link} is not Ethernet")
                self._order, self._unit_ns = order, _MAGIC[magic]
                del self._pending[:24]
                return
        raise PcapError(f"{self.name}: not a pcap file")

    def end(self) -> None:
        if self._pending:
            raise PcapError(f"{self.name}: ends within a packet")


class PcapWriter:
    """A pcap file of Ethernet frames. It is on the disk after each packet, so that others can follow it."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("wb", buffering=0)
        self._file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, MAX_PACKET, _ETHERNET))

    def write(self, frame: bytes) -> None:
        now = time.time_ns() // 1000
        self._file.write(struct.pack("<IIII", now // 1_000_000, now % 1_000_000, len(frame), len(frame)) + frame)

    def close(self) -> None:
        self._file.close()


@dataclass(slots=True)
class FilePort:
    """One port: its files, and what was read and is not yet processed."""

    number: int
    name: str
    source: int  # file descriptor, -1 at the end
    parser: PcapParser
    writer: PcapWriter
    is_file: bool
    waiting: list[tuple[int, bytes]] = field(default_factory=list)

    def send(self, frame: bytes) -> bool:
        self.writer.write(frame)
        return True

    def close(self) -> None:
        if self.source >= 0:
            os.close(self.source)
            self.source = -1
        self.writer.close()


def open_file_port(number: int, name: str) -> FilePort:
    """Opens NAME_in.pcap, which may be a FIFO that nobody writes yet, and creates NAME_out.pcap.

    Raises:
        OSError: one of them cannot be opened.
    """
    path = Path(f"{name}_in.pcap")
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        writer = PcapWriter(Path(f"{name}_out.pcap"))
    except OSError:
        os.close(source)
        raise
    return FilePort(number, name, source, PcapParser(str(path)), writer, path.is_file())


class FileReader:
    """A thread that reads the files of all ports, after `wait_s` seconds.

    Args:
        receive: takes port and frame.
    """

    def __init__(self, ports: list[FilePort], wait_s: float, receive: Callable[[int, bytes], None]) -> None:
        self._ports = ports
        self._wait_s = wait_s
        self._receive = receive
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="files", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        if self._stop.wait(self._wait_s):
            return
        poll = select.poll()
        by_source = {port.source: port for port in self._ports}
        for port in self._ports:
            poll.register(port.source, select.POLLIN)
        while by_source and not self._stop.is_set():
            ready = poll.poll(100)
            # What was written before a packet that has been read is there by now, but poll may have passed its FIFO already.
            for _round in range(_MAX_ROUNDS):
                for source, _ in ready:
                    port = by_source[source]
                    if not self._read(port):
                        poll.unregister(source)
                        del by_source[source]
                        os.close(port.source)
                        port.source = -1
                ready = poll.poll(0)
                if not ready:
                    break
            self._process(all(not port.is_file or port.source < 0 for port in self._ports))
        self._process(True)
        log.info("the input files are at their end")

    def _read(self, port: FilePort) -> bool:
        """Reads on; False at the end of the file or where it makes no sense any more."""
        try:
            data = os.read(port.source, 1 << 20)
            if not data:
                port.parser.end()
                return False
            port.waiting += port.parser.feed(data)
        except (OSError, PcapError) as error:
            log.error("port %d: %s", port.number, error)
            return False
        return True

    def _process(self, complete: bool) -> None:
        """What has been read, by time; not before the files that are no FIFOs have been read to their end."""
        if not complete:
            return
        waiting = [(when, port.number, frame) for port in self._ports for when, frame in port.waiting]
        for port in self._ports:
            port.waiting = []
        waiting.sort(key=lambda item: item[0])  # stable: the order of the ports among equals
        for _, number, frame in waiting:
            try:
                self._receive(number, frame)
            except DataplaneError as error:
                log.error("port %d: %s", number, error)
