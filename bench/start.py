"""How long the switch takes from the start of its process to the first packet that it forwards, and until P4Runtime answers.

Never seen: the cache is empty, so that everything is compiled. Seen before: the same program was started once with the same cache.
Frames come from the moment the process starts, one a millisecond; the time of the first that arrives behind the switch counts.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kulvert.failures import UserError

COLD, WARM = 3, 7
"""Starts of either kind; the median counts."""
_SECONDS = 60.0
_IPV4 = b"\x08\0"


class Phase(msgspec.Struct, frozen=True):
    """Medians over some starts, in seconds: until the first packet was forwarded (None: the program forwards none without entries),
    until P4Runtime was served, and of processor time, compilers included."""

    forwarding: float | None
    ready: float
    cpu: float


class Start(msgspec.Struct, frozen=True):
    """A program's starts when it was never seen, and when it was."""

    program: str
    cold: Phase
    warm: Phase


@dataclass(frozen=True, slots=True)
class Wires:
    """Interfaces of the switch, and what is at their other ends. `frame` is what the program forwards from the first to the second."""

    switch: tuple[str, str]
    outside: tuple[str, str]
    frame: bytes


def measure_start(program: Path, name: str, folder: Path, wires: Wires | None) -> Start:
    """All starts of one program.

    Args:
        wires: None if the program forwards nothing before it is given entries.
    """
    cache = folder / f"cache-{name}"
    cold, warm = [], []
    for _ in range(COLD):
        shutil.rmtree(cache, ignore_errors=True)
        cold.append(start_once(program, cache, wires))
    for _ in range(WARM):
        warm.append(start_once(program, cache, wires))
    return Start(name, _median(cold), _median(warm))


def start_once(program: Path, cache: Path, wires: Wires | None) -> Phase:
    """One start, measured and stopped."""
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, "-m", "kulvert", "switch", str(program), "--grpc-server-addr", "127.0.0.1:0"]
    if wires is not None:
        command += [part for port, name in enumerate(wires.switch) for part in ("-i", f"{port}@{name}")]
    stop = threading.Event()
    arrived: list[float] = []
    threads = []
    if wires is not None:
        ends = [_open(name) for name in wires.outside]
        threads.append(threading.Thread(target=_send, args=(ends[0], wires.frame, stop)))
        threads.append(threading.Thread(target=_await, args=(ends[1], arrived, stop)))
        for thread in threads:
            thread.start()
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        ready = time.monotonic() - started
        while threads and not arrived and time.monotonic() < started + _SECONDS:
            time.sleep(0.001)
        stop.set()
        for thread in threads:
            thread.join()
        process.terminate()
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0  # waited for already
    if "ready" not in line or (threads and not arrived):
        raise UserError(f"the switch did not start with {program}, or forwards nothing")
    return Phase(arrived[0] - started if threads else None, ready, usage.ru_utime + usage.ru_stime)


def _open(name: str) -> socket.socket:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))  # every protocol
    wire.bind((name, 0))
    wire.settimeout(0.1)
    return wire


def _send(wire: socket.socket, frame: bytes, stop: threading.Event) -> None:
    with wire:
        while not stop.wait(0.001):
            wire.send(frame)


def _await(wire: socket.socket, arrived: list[float], stop: threading.Event) -> None:
    """Note when the first frame comes."""
    with wire:
        while not stop.is_set() and not arrived:
            try:
                frame, address = wire.recvfrom(2048)
            except TimeoutError:
                continue
            if address[2] != socket.PACKET_OUTGOING and frame[12:14] == _IPV4:
                arrived.append(time.monotonic())


def _median(phases: list[Phase]) -> Phase:
    def middle(values: list[float]) -> float:
        return sorted(values)[len(values) // 2]

    forwarding = [phase.forwarding for phase in phases if phase.forwarding is not None]
    return Phase(
        middle(forwarding) if forwarding else None,
        middle([phase.ready for phase in phases]),
        middle([phase.cpu for phase in phases]),
    )


def render(found: tuple[Start, ...]) -> list[str]:
    """The table of starts."""
    lines = [
        "From the start of the process to the first packet forwarded, and to P4Runtime served; processor time of all of it. Medians of "
        f"{COLD} and {WARM} starts, in seconds.",
        "",
        "| program | cache | forwarding | P4Runtime | CPU |",
        "|---|---|---|---|---|",
    ]
    for item in found:
        for cache, phase in (("never seen", item.cold), ("seen before", item.warm)):
            forwarding = "" if phase.forwarding is None else f"{phase.forwarding:.2f}"
            lines.append(f"| {item.program} | {cache} | {forwarding} | {phase.ready:.2f} | {phase.cpu:.2f} |")
    return lines
