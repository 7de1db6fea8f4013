"""Which endpoints of a Service port are used, and which are still there for connections that they have."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from controlplane.addresses import AddressError, is_ipv4, parse_address
from controlplane.desired.symbols import Family
from controlplane.kube.objects import Endpoint, EndpointSlice

_SLICE_FAMILY = {"IPv4": Family.IPV4, "IPv6": Family.IPV6}


class Backend(msgspec.Struct, frozen=True, order=True, gc=False):
    """An endpoint of one Service port, with the API's conditions read as the API says they are to be read.

    Attributes:
        ready: takes new connections. Unknown counts as ready.
        serving: answers, be it terminating or not. Unknown is as `ready`.
        node: where it runs, "" if nobody says.
        for_nodes: the nodes that it is meant for, by its hints.
        for_zones: the zones that it is meant for.
    """

    address: int
    port: int
    ready: bool
    serving: bool
    terminating: bool
    node: str = ""
    for_nodes: tuple[str, ...] = ()
    for_zones: tuple[str, ...] = ()


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where this switch is, for traffic policies and topology hints."""

    node: str
    zone: str = ""


def backends(
    slices: Iterable[EndpointSlice], port_name: str, protocol: str, family: Family, problems: list[str]
) -> list[Backend]:
    """The backends of one Service port and family, sorted; one that is in several slices is merged."""
    found: dict[tuple[int, int], Backend] = {}
    for endpoint_slice in slices:
        if _SLICE_FAMILY.get(endpoint_slice.address_type) != family:
            continue
        numbers = [
            port.port
            for port in endpoint_slice.ports or ()
            if (port.name or "") == port_name and (port.protocol or "TCP") == protocol and port.port
        ]
        for number in numbers:
            if not 1 <= number <= 65535:
                problems.append(f"EndpointSlice {endpoint_slice.metadata.name}: {number} is not a port number")
                continue
            for endpoint in endpoint_slice.endpoints or ():
                try:
                    address = _address(endpoint, family)
                except AddressError as error:
                    problems.append(f"EndpointSlice {endpoint_slice.metadata.name}: {error}")
                    continue
                backend = _backend(endpoint, address, number)
                other = found.get((address, number))
                found[address, number] = backend if other is None else _merge(backend, other)
    return [found[key] for key in sorted(found)]


def _address(endpoint: Endpoint, family: Family) -> int:
    """An endpoint's addresses are interchangeable, and by the API's word the first one is to be used."""
    if not endpoint.addresses:
        raise AddressError("an endpoint has no address")
    address = parse_address(endpoint.addresses[0])
    if is_ipv4(address) != (family == Family.IPV4):
        raise AddressError(f"{endpoint.addresses[0]!r} is not of the slice's address type")
    return address


def _backend(endpoint: Endpoint, address: int, port: int) -> Backend:
    conditions = endpoint.conditions
    ready = conditions is None or conditions.ready is not False
    serving = ready if conditions is None or conditions.serving is None else conditions.serving
    terminating = conditions is not None and bool(conditions.terminating)
    hints = endpoint.hints
    return Backend(
        address,
        port,
        ready,
        serving,
        terminating,
        endpoint.node_name or "",
        () if hints is None else tuple(sorted(item.name for item in hints.for_nodes or ())),
        () if hints is None else tuple(sorted(item.name for item in hints.for_zones or ())),
    )


def _merge(one: Backend, other: Backend) -> Backend:
    """One endpoint that two slices have: what either says in its favour holds, and the hints that both give."""
    return Backend(
        one.address,
        one.port,
        one.ready or other.ready,
        one.serving or other.serving,
        one.terminating and other.terminating,
        one.node or other.node,
        tuple(sorted({*one.for_nodes, *other.for_nodes})) if one.for_nodes and other.for_nodes else (),
        tuple(sorted({*one.for_zones, *other.for_zones})) if one.for_zones and other.for_zones else (),
    )


def usable(found: list[Backend], place: Place) -> list[Backend]:
    """Those in the whole cluster that take new connections from this node: the ready ones, as far as hints keep them for other
    places; if none is ready, the terminating ones that still serve.
    """
    ready = [backend for backend in found if backend.ready]
    return _hinted(ready, place) if ready else _terminating(found)


def usable_here(found: list[Backend], place: Place) -> list[Backend]:
    """Those on this node, decided among themselves. Hints do not count."""
    here = [backend for backend in found if backend.node and backend.node == place.node]
    return [backend for backend in here if backend.ready] or _terminating(here)


def _terminating(found: list[Backend]) -> list[Backend]:
    return [backend for backend in found if backend.serving and backend.terminating]


def _hinted(ready: list[Backend], place: Place) -> list[Backend]:
    """By hints for nodes, else by hints for zones, else all. Hints count only if every endpoint has some and one is for here."""
    if all(backend.for_nodes for backend in ready):
        mine = [backend for backend in ready if place.node in backend.for_nodes]
        if mine:
            return mine
    if place.zone and all(backend.for_zones for backend in ready):
        mine = [backend for backend in ready if place.zone in backend.for_zones]
        if mine:
            return mine
    return ready
