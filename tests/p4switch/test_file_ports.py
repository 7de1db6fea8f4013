"""The order in which packets of several FIFOs are taken."""

from __future__ import annotations

import os
import select
import struct
import threading
from pathlib import Path

import pytest

from p4switch.endpoints.pcap import FileReader, open_file_port

HEAD = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)


class _Passed:
    """A poll that has passed the first descriptor when its packet was written."""

    def __init__(self) -> None:
        self._poll = _POLL()
        self._first = -1

    def register(self, source: int, events: int) -> None:
        self._poll.register(source, events)
        if self._first < 0:
            self._first = source

    def unregister(self, source: int) -> None:
        self._poll.unregister(source)

    def poll(self, timeout: int) -> list[tuple[int, int]]:
        passed, self._first = self._first, -1
        return [(source, events) for source, events in self._poll.poll(timeout) if source != passed]


_POLL = select.poll


def test_what_was_written_first_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(select, "poll", _Passed)
    ports, writers = [], []
    for number in range(2):
        os.mkfifo(f"port{number}_in.pcap")
        ports.append(open_file_port(number, f"port{number}"))
        writers.append(os.open(f"port{number}_in.pcap", os.O_WRONLY))
        os.write(writers[-1], HEAD + struct.pack("<IIII", 1, number, 4, 4) + b"\0\0\0\0")
    received: list[int] = []
    both = threading.Event()

    def receive(number: int, frame: bytes) -> None:
        received.append(number)
        if len(received) == 2:
            both.set()

    reader = FileReader(ports, 0, receive)
    reader.start()
    try:
        assert both.wait(60)
    finally:
        reader.stop()
        for writer in writers:
            os.close(writer)
        for port in ports:
            port.close()
    assert received == [0, 1]
