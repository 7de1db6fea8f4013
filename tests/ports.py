"""Ports for servers that are told theirs before they start."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_RANGES = (range(10_000, 32_768), range(61_000, 65_536))
"""Where to look; the kernel's own range is left out of them."""


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port of 127.0.0.1 that nobody has, and none of those that the kernel gives away: no connection of anybody's takes it before its
    server does.

    Raises:
        AssertionError: none was free.
    """
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split())
    ports = [port for places in _RANGES for port in places if not first <= port <= last] or [*_RANGES[0]]
    chance = random.SystemRandom()  # a seed of the tests' would give two runs on one machine the same
    for _ in range(1000):
        port = chance.choice(ports)
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("no port is free")
