"""The lab's wires: network namespaces, veth pairs, addresses. Runs inside the sandbox, in one thread.

A pod is wired as docs/pipeline.md says: its addresses are /32 and /128, and everything goes through a virtual gateway,
169.254.1.1 and fe80::1, for which the pipeline itself answers ARP and neighbour solicitations.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kulvert.failures import UserError
from kulvert.lab.sandbox import NETNS_DIR
from kulvert.lab.syscalls import CloneFlag, MountFlag, mount, setns, unshare

if TYPE_CHECKING:
    from pyroute2 import IPRoute

GATEWAY_IPV4 = IPv4Address("169.254.1.1")
GATEWAY_IPV6 = IPv6Address("fe80::1")

POD_INTERFACE = "eth0"

_SIOCETHTOOL = 0x8946
_ETHTOOL_SET_OFF = {
    "tx checksums": 0x17,  # ETHTOOL_STXCSUM
    "tcp segmentation": 0x1F,  # ETHTOOL_STSO
    "generic segmentation": 0x24,  # ETHTOOL_SGSO
    "generic receive": 0x2C,  # ETHTOOL_SGRO
}

_IFA_F_NODAD = 0x02


class LabNetwork:
    """The namespaces and wires of one lab. Everything it makes ends with the sandbox.

    Must be used from the sandbox's main thread: it changes that thread's network namespace for moments.
    """

    def __init__(self) -> None:
        from pyroute2 import IPRoute

        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._links: IPRoute = IPRoute()
        _set_up_loopback(self._links)
        self.has_ipv6 = Path("/proc/sys/net/ipv6").is_dir()

    def close(self) -> None:
        self._links.close()
        os.close(self._home)

    def add_namespace(self, name: str) -> Path:
        """Make a network namespace with its loopback up; the path that names it (as `ip netns` does)."""
        path = NETNS_DIR / name
        unshare(CloneFlag.NEWNET)
        try:
            path.touch(exist_ok=False)
            mount("/proc/self/ns/net", str(path), None, MountFlag.BIND)
        finally:
            setns(self._home, CloneFlag.NEWNET)
        with self.inside(path) as links:
            _set_up_loopback(links)
        return path

    @contextmanager
    def inside(self, namespace: Path) -> Iterator[IPRoute]:
        """Be in `namespace`, with a netlink socket there."""
        from pyroute2 import IPRoute

        fd = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns(fd, CloneFlag.NEWNET)
            with IPRoute() as links:
                yield links
        finally:
            setns(self._home, CloneFlag.NEWNET)
            os.close(fd)

    def add_wire(self, namespace: Path, *, switch_interface: str, mac: str, offloads: bool) -> None:
        """A veth pair: `switch_interface` here, for the switch, and `eth0` with address `mac` in `namespace`.

        Args:
            offloads: leave the stack's checksum and segmentation offloads on. A switch that reads frames as they are
                would then see checksums that nobody has filled in yet, and frames of up to 64 KB.
        """
        fd = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._links.link(
                "add",
                ifname=switch_interface,
                kind="veth",
                peer={"ifname": POD_INTERFACE, "net_ns_fd": fd, "address": mac},
            )
        except Exception as error:
            raise UserError(f"cannot make the veth pair {switch_interface}: {error}") from error
        finally:
            os.close(fd)
        _write_sysctl(f"ipv6/conf/{switch_interface}/disable_ipv6", "1")  # the switch owns this end, not the kernel
        index = _index_of(self._links, switch_interface)
        self._links.link("set", index=index, state="up")
        if not offloads:
            _switch_offloads_off(switch_interface)
            with self.inside(namespace):
                _switch_offloads_off(POD_INTERFACE)

    def configure_pod(self, namespace: Path, addresses: Sequence[IPv4Address | IPv6Address]) -> None:
        """Give the pod's interface its addresses and its way out, the virtual gateway."""
        with self.inside(namespace) as links:
            index = _index_of(links, POD_INTERFACE)
            if self.has_ipv6:
                _write_sysctl(f"ipv6/conf/{POD_INTERFACE}/accept_dad", "0")
                _write_sysctl(f"ipv6/conf/{POD_INTERFACE}/accept_ra", "0")
                _write_sysctl(f"ipv6/conf/{POD_INTERFACE}/router_solicitations", "0")
            links.link("set", index=index, state="up")
            for address in addresses:
                if isinstance(address, IPv4Address):
                    links.addr("add", index=index, address=str(address), prefixlen=32)
                elif self.has_ipv6:
                    links.addr("add", index=index, address=str(address), prefixlen=128, flags=_IFA_F_NODAD)
            if any(isinstance(address, IPv4Address) for address in addresses):
                links.route("add", dst=f"{GATEWAY_IPV4}/32", oif=index, scope="link")
                links.route("add", dst="0.0.0.0/0", gateway=str(GATEWAY_IPV4), oif=index)
            if self.has_ipv6 and any(isinstance(address, IPv6Address) for address in addresses):
                links.route("add", family=socket.AF_INET6, dst="::/0", gateway=str(GATEWAY_IPV6), oif=index)


def _index_of(links: IPRoute, interface: str) -> int:
    found: list[Any] = list(links.link_lookup(ifname=interface))
    if not found:
        raise UserError(f"interface {interface} does not exist")
    return int(found[0])


def _set_up_loopback(links: IPRoute) -> None:
    links.link("set", index=_index_of(links, "lo"), state="up")


def _write_sysctl(name: str, value: str) -> None:
    """Set a network sysctl of the current namespace. A read-only /proc/sys costs a second of address checks, no more."""
    try:
        Path("/proc/sys/net", name).write_text(value, encoding="ascii")
    except OSError:
        return


def _switch_offloads_off(interface: str) -> None:
    """What `ethtool -K INTERFACE tx off tso off gso off gro off` does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in _ETHTOOL_SET_OFF.values():
            value = bytearray(struct.pack("=II", command, 0))  # struct ethtool_value
            pointer = (_address_of(value)).to_bytes(struct.calcsize("P"), "little" if _LITTLE else "big")
            request = struct.pack("=16s", interface.encode()) + pointer.ljust(24, b"\0")  # struct ifreq
            fcntl.ioctl(control, _SIOCETHTOOL, request)


_LITTLE = struct.pack("=H", 1) == b"\x01\x00"


def _address_of(buffer: bytearray) -> int:
    import ctypes

    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))
