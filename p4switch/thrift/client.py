"""A client's end of a Thrift connection. It imports little: simple_switch_CLI must start at once."""

from __future__ import annotations

import socket
from typing import Any, BinaryIO, cast

from p4switch.thrift import protocol
from p4switch.thrift.protocol import Method, Reader
from p4switch.thrift.services import SERVICES


class ThriftClient:
    """A connection to a switch. One call at a time.

    Raises:
        OSError: nobody listens there.
    """

    def __init__(self, host: str, port: int, timeout_s: float | None = None) -> None:
        self._socket = socket.create_connection((host, port), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = self._socket.makefile("rb")
        self._reader = Reader(cast(BinaryIO, self._stream))
        self._sequence = 0

    def call(self, service: str, name: str, *arguments: Any) -> Any:
        """The result of a call; a context is put in front where there is one.

        Raises:
            ThriftError, ApplicationError: the switch refused.
            ProtocolError, OSError: the connection is gone.
        """
        method: Method = SERVICES[service][name]
        if method.arguments and method.arguments[0][0] == "cxt_id":
            arguments = (0, *arguments)
        self._sequence += 1
        self._socket.sendall(protocol.call_message(service, method, self._sequence, arguments))
        return protocol.read_result(self._reader, method)

    def close(self) -> None:
        self._stream.close()
        self._socket.close()
