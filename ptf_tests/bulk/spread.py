"""Load balancing over many endpoints: even, and without moving anybody when one of them goes."""

from __future__ import annotations

import ipaddress
from collections import Counter

from kulvert.targets import Target, load_target
from ptf_tests.base import POD_A, ROUTER, VIP
from ptf_tests.bulk.base import BulkTest, Stream, ends_of
from ptf_tests.cluster import Value, endpoint_slice, service
from ptf_tests.memory import patient_target
from ptf_tests.packets import FAMILIES, Family, Protocol, Side

_ENDPOINTS = 100
_FLOWS = 100_000
_LARGEST_SHARE = 1.25
_FIRST_PORT = 1024


def _endpoints(family: Family, without: int | None = None) -> list[Value]:
    prefix = "10.2.0." if family == 4 else "fd00:2::"
    numbers = [number for number in range(1, _ENDPOINTS + 1) if number != without]
    items = [f"{prefix}{number:x}" if family == 6 else f"{prefix}{number}" for number in numbers]
    return [{"addresses": [item], "conditions": {"ready": True}, "nodeName": "node-2"} for item in items]


class SpreadTest(BulkTest):
    """100 endpoints behind a Service."""

    @classmethod
    def profile(cls) -> Target:
        return patient_target(load_target("native"))  # whose sets are so many that none of them fills

    def serve(self, protocol: Protocol, without: int | None = None) -> None:
        """The Service with its endpoints, or all but one of them."""
        port = {"name": "p", "port": 80, "protocol": protocol.upper()}
        target = {"name": "p", "port": 8080, "protocol": protocol.upper()}
        self.cluster.apply(service(list(VIP.values()), [port]))
        for family in FAMILIES:
            self.cluster.apply(endpoint_slice(family, _endpoints(family, without), [target]))

    def streams(self, family: Family, protocol: Protocol, flags: str = "S") -> list[Stream]:
        """Clients: the pod, and a pod of another node, for more flows than one has ports."""
        vip = Side(VIP[family], 80)
        other = "10.2.0.200" if family == 4 else "fd00:2::c8"
        return [
            Stream(self, POD_A, POD_A.address(family), vip, protocol, flags),
            Stream(self, ROUTER, other, vip, protocol, flags),
        ]

    def ask(self, family: Family, protocol: Protocol, flags: str, flows: int) -> list[bytes]:
        """A packet of each flow; the endpoint that each reaches."""
        each = flows // 2
        found = []
        for port, stream in zip((POD_A.port, ROUTER.port), self.streams(family, protocol, flags), strict=True):
            for sport in range(_FIRST_PORT, _FIRST_PORT + each):
                out, frame = self.only(port, stream.frame(sport))
                self.assertEqual(out, ROUTER.port)
                found.append(ends_of(frame)[2])
        return found


class HundredEndpointsHaveEvenShares(SpreadTest):
    """Over 100 endpoints and 100,000 flows the largest share is within 1.25 of the mean."""

    def runTest(self) -> None:
        for family, protocol in ((4, "udp"), (6, "tcp")):
            self.serve(protocol)  # type: ignore[arg-type]
            self.node.forget()
            shares = Counter(self.ask(family, protocol, "S", _FLOWS))  # type: ignore[arg-type]
            self.assertEqual(len(shares), _ENDPOINTS)
            largest = max(shares.values()) / (_FLOWS / _ENDPOINTS)
            self.assertLessEqual(largest, _LARGEST_SHARE, f"IPv{family} {protocol}: {shares.most_common(3)}")


class EndpointThatGoesMovesNobody(SpreadTest):
    """One of 100 endpoints goes: established TCP flows stay where they are, its own as well, and new ones never reach it."""

    def runTest(self) -> None:
        gone = 50
        for family in FAMILIES:
            self.node.forget()
            self.serve("tcp")
            before = self.ask(family, "tcp", "S", _FLOWS)
            self.answer(family, before)
            self.serve("tcp", without=gone)
            after = self.ask(family, "tcp", "PA", _FLOWS)
            moved = sum(one != other for one, other in zip(before, after, strict=True))
            self.assertEqual(moved, 0, f"IPv{family}: {moved} of {len(before)} flows moved")
            self.node.forget()
            fresh = Counter(self.ask(family, "tcp", "S", _FLOWS // 10))
            self.assertEqual(len(fresh), _ENDPOINTS - 1, "the one that has gone gets nothing new")

    def answer(self, family: Family, endpoints: list[bytes]) -> None:
        """The endpoints accept the connections."""
        clients = [POD_A.address(family), "10.2.0.200" if family == 4 else "fd00:2::c8"]
        each = len(endpoints) // 2
        streams: dict[tuple[str, bytes], Stream] = {}
        for at, endpoint in enumerate(endpoints):
            client, sport = clients[at // each], _FIRST_PORT + at % each
            if (client, endpoint) not in streams:
                address = _text(endpoint)
                streams[client, endpoint] = Stream(self, ROUTER, address, Side(client, 1), "tcp", "SA")
            self.only(ROUTER.port, streams[client, endpoint].frame(8080, sport))


def _text(address: bytes) -> str:

    return str(ipaddress.ip_address(address))
