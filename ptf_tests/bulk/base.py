"""What the tests of many packets share."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import ClassVar

from ptf import testutils

from kulvert.targets import Target
from ptf_tests.base import NodeTest
from ptf_tests.cluster import Cluster
from ptf_tests.drop_reasons import DropReason
from ptf_tests.memory import MemoryNode, ample_target
from ptf_tests.packets import Host, Protocol, Side

_PORTS_OFFSET = {4: 14 + 20, 6: 14 + 40}


class BulkTest(NodeTest):
    """A test on a switch in memory. Its pipeline has the sizes that `profile` says."""

    installs_node: ClassVar[bool] = False

    @classmethod
    def profile(cls) -> Target:
        """The target to build for."""
        return ample_target()

    @property
    def node(self) -> MemoryNode:
        """The switch."""
        node = testutils.test_param_get("memory_node")
        assert isinstance(node, MemoryNode)
        return node

    def setUp(self) -> None:
        super().setUp()
        self.node.client = self.client  # the primary now
        self.node.forget()
        self.cluster = Cluster(self.client)

    def inject(self, port: int, frame: bytes) -> list[tuple[int, bytes]]:
        """What leaves when a frame arrives."""
        return self.node.inject(port, frame)

    def only(self, port: int, frame: bytes) -> tuple[int, bytes]:
        """The one frame that leaves when a frame arrives."""
        left = self.inject(port, frame)
        if len(left) != 1:
            self.fail(f"{len(left)} frames came out for {frame.hex()}; {self._drops_text()}")
        return left[0]

    def drops_since(self, before: Sequence[int]) -> dict[str, int]:
        """What was dropped since `before` (`self.node.drops()`), by reason."""
        now = self.node.drops()
        return {DropReason(at).name: now[at] - before[at] for at in range(len(now)) if now[at] != before[at]}

    def connections_held(self) -> int:
        """Connections in the table, ended ones included: half the ways in use."""
        return sum(tag != 0 for tag in self.node.dataplane.read_register("connection_tags", None)) // 2


class Stream:
    """Frames of one kind from one host to one place, that differ in their ports alone.

    The transport's checksum is that of the first: the pipeline does not verify it, and keeps it by difference.
    """

    def __init__(self, test: NodeTest, host: Host, src: str, dst: Side, protocol: Protocol, flags: str = "S") -> None:
        self._frame = bytearray(bytes(test.sent_by(host, Side(src, 1), dst, protocol, flags=flags)))
        self._at = _PORTS_OFFSET[6 if ":" in src else 4]
        self._dport = dst.port

    def frame(self, sport: int, dport: int | None = None) -> bytes:
        """The frame with these ports."""
        struct.pack_into(">HH", self._frame, self._at, sport, self._dport if dport is None else dport)
        return bytes(self._frame)

    def frames(self, sports: Sequence[int] | range) -> Iterator[bytes]:
        """A frame for each source port."""
        return (self.frame(sport) for sport in sports)


def ends_of(frame: bytes) -> tuple[bytes, int, bytes, int]:
    """Source address and port, destination address and port of a frame without IPv4 options or extension headers."""
    is_ipv6 = frame[12:14] == b"\x86\xdd"
    addresses, size = (22, 16) if is_ipv6 else (26, 4)
    sport, dport = struct.unpack_from(">HH", frame, _PORTS_OFFSET[6 if is_ipv6 else 4])
    return frame[addresses : addresses + size], sport, frame[addresses + size : addresses + 2 * size], dport
