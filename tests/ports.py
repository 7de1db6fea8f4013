"""Ports for servers that are told theirs before they start."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_FIRST = 10_000


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port of 127.0.0.1 that nobody has, below those that the kernel gives away: no connection of anybody's takes it
    before its server does.

    Raises:
        AssertionError: none was free.
    """
    text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
    chance = random.SystemRandom()  # a seed of the tests' would give two runs on one machine the same
    for _ in range(1000):
        port = chance.randrange(_FIRST, max(int(text.split()[0]), _FIRST + 1))
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("no port is free")
