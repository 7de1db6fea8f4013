"""Ports on UNIX sockets, so that the packet tests need neither root nor namespaces: `s<n>` is the switch's end, `t<n>` ptf's."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path

from ptf.dataplane import DataPlanePacketSourceIface, DataPlanePortIface

from p4switch.thrift.client import ThriftClient

MAX_FRAME = 65535
_SEND_SECONDS = 10


def switch_socket(folder: Path, port: int) -> str:
    """The interface of a port, as the switch's `-i` has it."""
    return f"unix:{folder}/s{port},{folder}/t{port}"


class SocketPort(DataPlanePortIface, DataPlanePacketSourceIface):  # type: ignore[misc]  # ptf has no types
    """ptf's end of a port. `interface_name` is the path without the end's letter: FOLDER/PORT."""

    def __init__(
        self,
        interface_name: str,
        device_number: int,
        port_number: int,
        config: dict[str, object] | None = None,
        *,
        thrift_port: int,
    ) -> None:
        folder, _, number = interface_name.rpartition("/")
        self._interface, self._thrift_port = switch_socket(Path(folder), port_number), thrift_port
        self._device, self._port = device_number, port_number
        self._switch, self._path = f"{folder}/s{number}", f"{folder}/t{number}"
        with contextlib.suppress(FileNotFoundError):
            Path(self._path).unlink()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind(self._path)
        self._socket.settimeout(_SEND_SECONDS)

    def fileno(self) -> int:
        return self._socket.fileno()

    def recv(self) -> tuple[int, int, bytes, float]:
        return self._device, self._port, self._socket.recv(MAX_FRAME), time.time()

    def get_packet_source(self) -> SocketPort:
        return self

    def send(self, packet: bytes) -> int:
        return self._socket.sendto(bytes(packet), self._switch)

    def down(self) -> None:
        """Take the port from the switch: a socket has no link."""
        self._manage("bm_dev_mgr_remove_port", self._port)

    def up(self) -> None:
        """Give it back."""
        self._manage("bm_dev_mgr_add_port", self._interface, self._port, "")

    def _manage(self, call: str, *arguments: object) -> None:
        client = ThriftClient("127.0.0.1", self._thrift_port, _SEND_SECONDS)
        try:
            client.call("standard", call, *arguments)
        finally:
            client.close()

    def mac(self) -> None:
        return None
