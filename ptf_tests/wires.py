"""Ports on veth pairs, as ptf's own, but that they survive a link that goes down and comes up again."""

from __future__ import annotations

from ptf.dataplane import DataPlanePortLinux
from pyroute2 import IPRoute


class WirePort(DataPlanePortLinux):  # type: ignore[misc]  # ptf has no types
    """ptf's end of a port's wire."""

    def recv(self) -> tuple[int, int, bytes, float] | None:
        """The next frame, with device, port and time; None if instead the link has gone down, which the kernel says once."""
        try:
            frame: tuple[int, int, bytes, float] = super().recv()
        except RuntimeError:
            return None
        return frame

    def down(self) -> None:
        """Pull the cable: the switch's end has no carrier."""
        self._set("down")

    def up(self) -> None:
        """Plug it in again."""
        self._set("up")

    def _set(self, state: str) -> None:
        with IPRoute() as route:
            (index,) = route.link_lookup(ifname=self.interface_name)
            route.link("set", index=index, state=state)
