"""A network namespace of the tests' own with veth pairs: `kvs<n>` for the switch, `kvt<n>` for ptf."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from pyroute2 import IPRoute, netns

PREFIX = "kvptf-"


class NetworkError(Exception):
    """The namespace or its wires could not be made."""


def switch_interface(port: int) -> str:
    """The end of a port's wire that the switch has."""
    return f"kvs{port}"


def test_interface(port: int) -> str:
    """The end of a port's wire that the tests have."""
    return f"kvt{port}"


@contextlib.contextmanager
def own_namespace(ports: int) -> Iterator[str]:
    """Enter a fresh namespace with a wire for each port, for the life of the context; gone afterwards.

    This process (and whatever it starts from now on) lives in it until the context ends. Namespaces left behind by a
    run that was killed are removed on the way.

    Raises:
        NetworkError: no right to make one, or the kernel refused.
    """
    remove_abandoned()
    name = f"{PREFIX}{os.getpid()}"
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        netns.create(name)
    except OSError as error:
        os.close(home)
        raise NetworkError(f"cannot make the network namespace {name}: {error.strerror or error}") from None
    try:
        netns.setns(name)
        try:
            _make_wires(ports)
        except Exception as error:
            raise NetworkError(f"cannot make the wires of {name}: {error}") from error
        yield name
    finally:
        netns.setns(home)
        os.close(home)
        netns.remove(name)


def remove_abandoned() -> None:
    """Remove the namespaces of runs whose process is gone."""
    for name in netns.listnetns():
        owner = name.removeprefix(PREFIX)
        if name.startswith(PREFIX) and owner.isdigit() and not Path(f"/proc/{owner}").exists():
            with contextlib.suppress(OSError):
                netns.remove(name)


def _make_wires(ports: int) -> None:
    # Interfaces without IPv6 of their own: the kernel's router solicitations would be packets that no test has sent.
    command = ["sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1", "net.ipv6.conf.all.disable_ipv6=1"]
    subprocess.run(command, check=True, capture_output=True)
    with IPRoute() as route:
        route.link("set", index=route.link_lookup(ifname="lo")[0], state="up")
        for port in range(ports):
            route.link("add", ifname=switch_interface(port), kind="veth", peer=test_interface(port))
            for name in (switch_interface(port), test_interface(port)):
                route.link("set", index=route.link_lookup(ifname=name)[0], state="up", mtu=9000)
