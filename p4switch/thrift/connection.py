"""The server's end of a Thrift connection, with a thread for each client."""

from __future__ import annotations

import logging
import socket
import socketserver
import threading
from collections.abc import Mapping
from typing import BinaryIO, cast

from p4switch.dataplane import DataplaneError
from p4switch.thrift import protocol
from p4switch.thrift.protocol import ApplicationError, ProtocolError, Reader, ThriftError
from p4switch.thrift.services import SERVICES

log = logging.getLogger("p4switch.thrift")


class ThriftServer:
    """Answers BMv2's calls on a TCP port. It listens from the start; calls wait for `start`.

    Args:
        handlers: for each service, an object with a method of each call's name.

    Raises:
        OSError: the address cannot be had.
    """

    def __init__(self, address: tuple[str, int], handlers: Mapping[str, object]) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                _serve(self.request, handlers)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            block_on_close = False
            request_queue_size = 64
            address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET

        self._server = Server(address, Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="thrift", daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


def _serve(connection: socket.socket, handlers: Mapping[str, object]) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection.makefile("rb") as stream:
        reader = Reader(cast(BinaryIO, stream))
        while True:
            try:
                kind, name, sequence = protocol.read_head(reader)
                answer = _answer(reader, name, sequence, handlers)
                if kind != protocol.ONEWAY:
                    connection.sendall(answer)
            except ProtocolError as error:
                log.debug("a Thrift connection ends: %s", error)
                return
            except OSError:
                return


def _answer(reader: Reader, name: str, sequence: int, handlers: Mapping[str, object]) -> bytes:
    service, _, short = name.rpartition(":")
    # A client that does not multiplex means the one service that has such a call.
    candidates = [service] if service else [key for key in handlers if short in SERVICES[key]]
    method = SERVICES.get(candidates[0], {}).get(short) if candidates else None
    if method is None or candidates[0] not in handlers:
        reader.skip(protocol.STRUCT_CODE)
        unknown = ApplicationError(protocol.UNKNOWN_METHOD, f"there is no call {name!r}")
        return protocol.failure_message(short, sequence, unknown)
    arguments = protocol.read_fields(reader, method.arguments)
    missing = [argument for argument, _ in method.arguments if argument not in arguments]
    if missing:
        lacking = ApplicationError(protocol.PROTOCOL_ERROR, f"{short}: the argument {missing[0]!r} is missing")
        return protocol.failure_message(short, sequence, lacking)
    try:
        arguments.pop("cxt_id", None)
        value = getattr(handlers[candidates[0]], short)(**arguments)
        return protocol.result_message(method, sequence, value)
    except ThriftError as error:
        log.info("%s: %s", short, error)
        return protocol.error_message(method, sequence, error)
    except ApplicationError as error:
        return protocol.failure_message(short, sequence, error)
    except DataplaneError as error:  # what no declared exception fits: no program is loaded
        log.warning("%s: %s", short, error)
        return protocol.failure_message(short, sequence, ApplicationError(protocol.INTERNAL_ERROR, str(error)))
    except Exception as error:
        log.exception("the call %s failed", short)
        return protocol.failure_message(short, sequence, ApplicationError(protocol.INTERNAL_ERROR, str(error)))
