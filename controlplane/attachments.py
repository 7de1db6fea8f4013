"""Where the switch's ports lead: pods, the node itself, other nodes. Not known to Kubernetes, so a file or annotations say it.

The format is described in docs/controller.md.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import msgspec

from controlplane.addresses import (
    AddressError,
    Prefix,
    format_address,
    parse_address,
    parse_mac,
    parse_prefix,
)
from controlplane.desired.symbols import NextHop
from controlplane.files import why_unreadable
from controlplane.kube.documents import parse_yaml
from controlplane.kube.objects import ObjectRef

PORT_ANNOTATION = "kulvert.dev/port"
MAC_ANNOTATION = "kulvert.dev/mac"

DEFAULT_GATEWAY_MAC = "02:00:a9:fe:01:01"
DEFAULT_GATEWAY_ADDRESSES = ("169.254.1.1", "fe80::1")
MTU_ANNOTATION = "kulvert.dev/mtu"
MIN_MTU, MAX_MTU = 1280, 65535
"""No link may be narrower than IPv6 allows (RFC 8200, section 5): the pipeline does not look at smaller packets."""
MAX_PORT = 510
"""P4's port numbers are 9 bits wide and 511 is the drop port."""


class AttachmentsError(ValueError):
    """The attachments file cannot be used. `str()` is `file:line: what is wrong`."""


class PodAttachment(msgspec.Struct, frozen=True):
    """A pod's port of the switch and the MAC address of the pod's own interface. An `mtu` of 0 is no limit."""

    port: int
    mac: int
    mtu: int = 0


class NodeAttachment(msgspec.Struct, frozen=True):
    """The port that leads to the node itself: the MAC of the node's interface there, and the addresses behind it.

    Without addresses they are the Node object's own. An `mtu` of 0 is no limit.
    """

    port: int
    mac: int
    addresses: tuple[int, ...] = ()
    mtu: int = 0


class Uplink(msgspec.Struct, frozen=True):
    """A port that leads to other nodes.

    Attributes:
        mac: the switch's own MAC address on that wire.
        neighbors: address and MAC of each next hop there.
        addresses: the addresses that the switch answers ARP and ND for on that wire.
        mtu: of the IP packets that leave there; 0 is no limit.
    """

    port: int
    mac: int
    neighbors: tuple[tuple[int, int], ...] = ()
    addresses: tuple[int, ...] = ()
    mtu: int = 0


class StaticRoute(msgspec.Struct, frozen=True):
    """A range reached through neighbours, which share the load."""

    prefix: Prefix
    via: tuple[int, ...]


class Attachments(msgspec.Struct, frozen=True):
    """Everything behind the switch's ports. `pods` is sorted."""

    gateway_mac: int = parse_mac(DEFAULT_GATEWAY_MAC)
    gateway_addresses: tuple[int, ...] = tuple(parse_address(text) for text in DEFAULT_GATEWAY_ADDRESSES)
    node: NodeAttachment | None = None
    uplinks: tuple[Uplink, ...] = ()
    routes: tuple[StaticRoute, ...] = ()
    pods: tuple[tuple[ObjectRef, PodAttachment], ...] = ()

    def next_hops(self, address: int) -> tuple[NextHop, ...]:
        """The ways on which `address` is a neighbour: one for each uplink that it is on, in the order of the file."""
        return tuple(
            NextHop(uplink.port, uplink.mac, mac)
            for uplink in self.uplinks
            for neighbor, mac in uplink.neighbors
            if neighbor == address
        )

    def ways(self, address: int) -> tuple[NextHop, ...]:
        """How a packet to `address` leaves: to the neighbour that it is, else by the longest of the static routes that hold it."""
        found = self.next_hops(address)
        holding = [route for route in self.routes if route.prefix.contains(address)]
        if found or not holding:
            return found
        longest = max(holding, key=lambda route: route.prefix.length)
        return tuple(hop for neighbor in longest.via for hop in self.next_hops(neighbor))


# -- the file

_Port = Annotated[int, msgspec.Meta(ge=0, le=MAX_PORT)]
_Mtu = Annotated[int, msgspec.Meta(ge=MIN_MTU, le=MAX_MTU)]


class _Strict(msgspec.Struct, forbid_unknown_fields=True):
    pass


class _Gateway(_Strict):
    mac: str = DEFAULT_GATEWAY_MAC
    addresses: list[str] = msgspec.field(default_factory=lambda: list(DEFAULT_GATEWAY_ADDRESSES))


class _Node(_Strict):
    port: _Port
    mac: str
    addresses: list[str] = []
    mtu: _Mtu | None = None


class _Uplink(_Strict):
    port: _Port
    mac: str
    neighbors: dict[str, str] = {}
    addresses: list[str] = []
    mtu: _Mtu | None = None


class _Route(_Strict):
    to: str
    via: str | list[str]


class _Pod(_Strict):
    name: str
    port: _Port
    mac: str
    namespace: str = "default"
    mtu: _Mtu | None = None


class _File(_Strict):
    gateway: _Gateway = msgspec.field(default_factory=_Gateway)
    node: _Node | None = None
    uplinks: list[_Uplink] = []
    routes: list[_Route] = []
    pods: list[_Pod] = []


def load_attachments(path: Path) -> Attachments:
    """Read an attachments file.

    Raises:
        AttachmentsError: it cannot be read, is not YAML, or says something impossible.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AttachmentsError(f"{path}: cannot be read: {why_unreadable(error)}") from None
    return parse_attachments(text, str(path))


def parse_attachments(text: str, place: str) -> Attachments:
    """`load_attachments` of a text; `place` is what errors call it."""
    documents = list(parse_yaml(text))
    if len(documents) > 1:
        raise AttachmentsError(f"{place}:{documents[1].line}: an attachments file holds one document")
    if not documents or documents[0].value is None:
        if documents and documents[0].error:
            raise AttachmentsError(f"{place}:{documents[0].line}: {documents[0].error}")
        return Attachments()
    document = documents[0]
    try:
        file = msgspec.convert(document.value, _File, strict=True)
    except msgspec.ValidationError as error:
        path = re.search(r"`(\$[^`]*)`", str(error))
        line = document.line_of(path.group(1)) if path else document.line
        raise AttachmentsError(f"{place}:{line}: {error}") from None
    try:
        return _build(file)
    except (AddressError, AttachmentsError) as error:
        raise AttachmentsError(f"{place}: {error}") from None


def _build(file: _File) -> Attachments:
    owners: dict[int, str] = {}

    def claim(port: int, owner: str) -> None:
        if port in owners:
            raise AttachmentsError(f"port {port} is given to {owners[port]} and to {owner}")
        owners[port] = owner

    if file.node is not None:
        claim(file.node.port, "the node")
    for uplink in file.uplinks:
        claim(uplink.port, "an uplink")
    pods: dict[ObjectRef, PodAttachment] = {}
    for pod in file.pods:
        ref = ObjectRef("Pod", pod.namespace, pod.name)
        claim(pod.port, str(ref))
        if ref in pods:
            raise AttachmentsError(f"{ref} is listed twice")
        pods[ref] = PodAttachment(pod.port, parse_mac(pod.mac), pod.mtu or 0)
    built = Attachments(
        gateway_mac=parse_mac(file.gateway.mac),
        gateway_addresses=tuple(parse_address(text) for text in file.gateway.addresses),
        node=None
        if file.node is None
        else NodeAttachment(
            file.node.port,
            parse_mac(file.node.mac),
            tuple(parse_address(text) for text in file.node.addresses),
            file.node.mtu or 0,
        ),
        uplinks=tuple(
            Uplink(
                uplink.port,
                parse_mac(uplink.mac),
                tuple((parse_address(address), parse_mac(mac)) for address, mac in uplink.neighbors.items()),
                tuple(parse_address(text) for text in uplink.addresses),
                uplink.mtu or 0,
            )
            for uplink in file.uplinks
        ),
        routes=tuple(
            StaticRoute(
                parse_prefix(route.to),
                tuple(map(parse_address, [route.via] if isinstance(route.via, str) else route.via)),
            )
            for route in file.routes
        ),
        pods=tuple(sorted(pods.items())),
    )
    for route in built.routes:
        if not route.via:
            raise AttachmentsError(f"the route to {route.prefix} goes through nobody")
        for address in route.via:
            if not built.next_hops(address):
                raise AttachmentsError(
                    f"the route to {route.prefix} goes through {format_address(address)}, which is no uplink's neighbour"
                )
    return built


def annotated_attachment(annotations: dict[str, str] | None) -> PodAttachment | None:
    """What a Pod's own annotations say, None if nothing.

    Raises:
        AddressError: one of the two is missing or makes no sense.
    """
    found = {name: (annotations or {}).get(name) for name in (PORT_ANNOTATION, MAC_ANNOTATION, MTU_ANNOTATION)}
    if all(text is None for text in found.values()):
        return None
    port_text, mac_text, mtu_text = found.values()
    if port_text is None or mac_text is None:
        missing = PORT_ANNOTATION if port_text is None else MAC_ANNOTATION
        raise AddressError(f"the annotation {missing} is missing beside its companion")
    port = _number(PORT_ANNOTATION, port_text, "a port number", 0, MAX_PORT)
    mtu = 0 if mtu_text is None else _number(MTU_ANNOTATION, mtu_text, "a number of bytes", MIN_MTU, MAX_MTU)
    return PodAttachment(port, parse_mac(mac_text), mtu)


def _number(name: str, text: str, what: str, low: int, high: int) -> int:
    text = text.strip()
    if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
        reach = f"from {low} to {high}" if low else f"up to {high}"
        raise AddressError(f"the annotation {name} must be {what} {reach}, not {text!r}")
    return int(text)
