"""A million connections, held at once."""

from __future__ import annotations

import os
import random
from pathlib import Path

from kulvert.targets import Target, load_target
from ptf_tests.base import ROUTER
from ptf_tests.bulk.base import BulkTest, Stream, ends_of
from ptf_tests.cluster import REMOTE_PODS
from ptf_tests.memory import patient_target
from ptf_tests.packets import Side

_CLIENTS = 20
_EACH = 51_000
_HELD = 1_000_000
_FIRST_PORT = 1024
_MOST_REFUSED = 0.01
"""Of what is offered: at half of what fits, a way is not to be had for about 2 in 1,000, and a connection takes two."""


class MillionConnectionsAreHeld(BulkTest):
    """A million answered connections at once: each is found again, in both directions; how much memory they take is printed."""

    @classmethod
    def profile(cls) -> Target:
        return patient_target(load_target("native"))

    def runTest(self) -> None:
        before = _resident()
        clients = [f"2001:db8:{number + 1:x}::1" for number in range(_CLIENTS)]
        server = Side(REMOTE_PODS[0].ipv6, 80)
        offered = _CLIENTS * _EACH
        found = 0
        for client in clients:
            for flags in ("S", "SA", "A"):
                found += self.exchange(client, server, flags)
        held = self.connections_held()
        print(f"measured: {held:,} connections held of {offered:,} offered, in {_resident() - before:,.0f} MB")
        self.assertGreaterEqual(held, _HELD)
        self.assertGreaterEqual(held, offered * (1 - _MOST_REFUSED))
        self.assertGreaterEqual(found, 3 * held)
        self.sample(clients, server)

    def exchange(self, client: str, server: Side, flags: str) -> int:
        """A packet of each of a client's connections, or the answer to it; how many pass."""
        if flags == "SA":
            answers = Stream(self, ROUTER, server.address, Side(client, 1), "tcp", flags)
            frames = [answers.frame(server.port, _FIRST_PORT + number) for number in range(_EACH)]
        else:
            requests = Stream(self, ROUTER, client, server, "tcp", flags)
            frames = [requests.frame(_FIRST_PORT + number) for number in range(_EACH)]
        return self.node.dataplane.bench([(ROUTER.port, frame) for frame in frames], len(frames))[1]

    def sample(self, clients: list[str], server: Side) -> None:
        """Some of them, byte by byte: the one direction's packets and the other's."""
        rng = random.Random(1)
        lost = 0
        for _ in range(2000):
            client, sport = rng.choice(clients), _FIRST_PORT + rng.randrange(_EACH)
            for src, dst in ((Side(client, sport), server), (server, Side(client, sport))):
                left = self.inject(ROUTER.port, bytes(self.sent_by(ROUTER, src, dst, "tcp", flags="PA")))
                lost += not left
                if left:
                    self.assertEqual(ends_of(left[0][1])[1::2], (src.port, dst.port))
        self.assertLessEqual(lost, 4000 * 2 * _MOST_REFUSED)


def _resident() -> float:
    """Megabytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
