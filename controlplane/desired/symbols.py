"""Values that the derivation names and does not number: the number is chosen where entities are written.

A symbol stands for one number in a P4 field or one P4Runtime member or group id. Two equal symbols get
the same number; the number's width comes from the field that it is put in. So the derivation needs no memory of what was given out
before, and gives the same entities from the same objects in whatever order they came.

The structures here and in `entities` are msgspec Structs: what a frozen, slotted dataclass is, made and
hashed in C. A cluster has hundreds of thousands of them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec

from controlplane.addresses import Prefix, format_address, format_mac


class Protocol(IntEnum):
    """IP protocol numbers of Service ports and NetworkPolicy ports."""

    TCP = 6
    UDP = 17
    SCTP = 132


class Family(IntEnum):
    IPV4 = 4
    IPV6 = 6


class ServiceId(msgspec.Struct, frozen=True, order=True, gc=False, cache_hash=True):
    """The set of endpoints of one Service port in one address family: all over the cluster, or if `scope` is "local" on this node."""

    namespace: str
    name: str
    port: int
    protocol: int
    family: int
    scope: str = ""

    def __str__(self) -> str:
        scope = f" ({self.scope})" if self.scope else ""
        return f"{self.namespace}/{self.name}:{self.port}/{Protocol(self.protocol).name}/IPv{self.family}{scope}"


class SourceRangesId(msgspec.Struct, frozen=True, order=True, gc=False):
    """The loadBalancerSourceRanges of a Service."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"source ranges of {self.namespace}/{self.name}"


class EndpointId(msgspec.Struct, frozen=True, order=True, gc=False, cache_hash=True):
    """One endpoint of a Service port. An address that goes and comes back is the same endpoint."""

    service: ServiceId
    address: int
    port: int

    def __str__(self) -> str:
        return f"{self.service} endpoint {format_address(self.address)} port {self.port}"


class NextHop(msgspec.Struct, frozen=True, order=True, gc=False):
    """A neighbour on a wire: the switch's port and MAC there, and the neighbour's MAC."""

    port: int
    src_mac: int
    dst_mac: int

    def __str__(self) -> str:
        return f"next hop {format_mac(self.dst_mac)} on port {self.port}"


class NextHopsId(msgspec.Struct, frozen=True, order=True, gc=False):
    """Next hops that share the load, sorted; the same ones are the same set, whatever is reached by them."""

    hops: tuple[NextHop, ...]

    def __str__(self) -> str:
        return f"{len(self.hops)} next hops ({'; '.join(map(str, self.hops))})"


class PolicyId(msgspec.Struct, frozen=True, order=True, gc=False):
    """A set of policy entries, by content: equal content, equal id. `digest` is hexadecimal."""

    direction: str
    digest: str

    def __str__(self) -> str:
        return f"{self.direction} policy {self.digest[:12]}"


class Identity(msgspec.Struct, frozen=True, order=True, gc=False):
    """What a policy can tell about an address.

    Attributes:
        namespace: of the pod that has the address; "" for an address of no pod.
        labels: the pod's, sorted.
        named_ports: the pod's named ports (name, protocol, number), sorted.
        block: the longest of the policies' address ranges that holds the address, which names all the others that do.
    """

    namespace: str
    labels: tuple[tuple[str, str], ...]
    named_ports: tuple[tuple[str, int, int], ...]
    block: Prefix | None

    def __str__(self) -> str:
        if not self.namespace:
            return f"identity of {self.block}"
        labels = ",".join(f"{key}={value}" for key, value in self.labels)
        return f"identity of pods {self.namespace}/{{{labels}}}" + (f" in {self.block}" if self.block else "")


Symbol = ServiceId | SourceRangesId | EndpointId | NextHop | NextHopsId | PolicyId | Identity

Value = int | Symbol
"""What a match field or an action parameter holds."""

IDENTITY_UNKNOWN: Final = 0
"""The identity of an address that nobody describes."""

IDENTITY_LOCAL_NODE: Final = 1
"""The identity of this node's own addresses."""

POD_IDENTITY_BIT: Final = 1 << 23
"""Set in the number of every pod's identity and in no other, so that "any pod" is one ternary match."""

POLICY_NONE: Final = 0
"""The policy id of a pod that is not isolated."""
