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
    """

    address: int
    port: int
    ready: bool
    serving: bool
    terminating: bool


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
    if conditions is None:
        return Backend(address, port, True, True, False)
    ready = conditions.ready is not False
    serving = ready if conditions.serving is None else conditions.serving
    return Backend(address, port, ready, serving, bool(conditions.terminating))


def _merge(one: Backend, other: Backend) -> Backend:
    return Backend(
        one.address,
        one.port,
        one.ready or other.ready,
        one.serving or other.serving,
        one.terminating and other.terminating,
    )


def usable(found: list[Backend]) -> list[Backend]:
    """Those that take new connections: the ready ones; if there is none, the terminating ones that still serve."""
    return [backend for backend in found if backend.ready] or [
        backend for backend in found if backend.serving and backend.terminating
    ]
