"""simple_switch_grpc's other gRPC service, `p4.bm.DataplaneInterface` (`--dp-grpc-server-addr`): packets of every port over one
stream, and ports that are said to be up or down. With `server` the only module of the switch that imports grpc.

What it answers is what simple_switch_grpc answers: one client at a time; packets of another device, and empty ones, are passed
over; a stream ends when all is sent that came of its packets.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import grpc

from p4switch.addresses import why_not_listen
from p4switch.dataplane import DataplaneError
from p4switch.service import dataplane_messages as messages
from p4switch.service.server import BindError

log = logging.getLogger(__name__)

MAX_WAITING = 1024
"""Packets that wait for the client before the switch waits for it."""

_MAX_FRAME = 65535


class PacketGate(Protocol):
    """The ports, as `p4switch.endpoints.gate.Gate` offers them."""

    def ready(self) -> bool: ...
    def enter(self, sink: Answers) -> bool: ...
    def leave(self) -> None: ...
    def receive(self, number: int, frame: bytes, packet_id: int) -> None: ...
    def settle(self) -> None: ...
    def set_up(self, number: int, up: bool) -> None: ...


class Answers:
    """The packets on their way to one client."""

    def __init__(self, device_id: int) -> None:
        self._device_id = device_id
        self._changed = threading.Condition()
        self._waiting: deque[Any] = deque()
        self._closed = False

    def __call__(self, port: int, frame: bytes, packet_id: int) -> bool:
        """Queue a packet; waits while the queue is full. False if the stream is at its end."""
        response = messages.PacketStreamResponse(id=packet_id, device_id=self._device_id, port=port, packet=frame)
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._waiting) < MAX_WAITING)
            if self._closed:
                return False
            self._waiting.append(response)
            self._changed.notify_all()
        return True

    def close(self) -> None:
        """End the stream after what is queued."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Any]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._waiting)
                if not self._waiting:
                    return
                response = self._waiting.popleft()
                self._changed.notify_all()
            yield response


class PacketStreamServer:
    """A running `p4.bm.DataplaneInterface` for one device, without TLS, as BMv2's.

    Attributes:
        port: the TCP port that it listens on (the one chosen, if 0 was asked for).
    """

    def __init__(self, gate: PacketGate, device_id: int, address: str) -> None:
        """Bind `address` ("host:port"); `start` begins to serve.

        Raises:
            BindError: the address is in use or not this machine's.
        """
        self._gate = gate
        self._device_id = device_id
        self._server = grpc.server(
            ThreadPoolExecutor(max_workers=8, thread_name_prefix="packet-stream"),
            options=[("grpc.so_reuseport", 0)],
        )
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    messages.SERVICE,
                    {
                        "PacketStream": grpc.stream_stream_rpc_method_handler(
                            self._packet_stream,
                            request_deserializer=messages.PacketStreamRequest.FromString,
                            response_serializer=messages.PacketStreamResponse.SerializeToString,
                        ),
                        "SetPortOperStatus": grpc.unary_unary_rpc_method_handler(
                            self._set_port_oper_status,
                            request_deserializer=messages.SetPortOperStatusRequest.FromString,
                            response_serializer=messages.SetPortOperStatusResponse.SerializeToString,
                        ),
                    },
                ),
            )
        )
        try:
            self.port = self._server.add_insecure_port(address)
        except RuntimeError:
            self.port = 0
        if not self.port:
            raise BindError(f"cannot listen on {address}: {why_not_listen(address) or 'gRPC refused it'}")

    def start(self) -> None:
        """Serve, on threads of the server's own."""
        self._server.start()

    def stop(self) -> None:
        """End the stream and stop."""
        self._server.stop(0).wait(5)

    def _packet_stream(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        if not self._gate.ready():
            context.abort(grpc.StatusCode.UNAVAILABLE, "not ready: the switch has no program yet")
        answers = Answers(self._device_id)
        if not self._gate.enter(answers):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "only one client authorized at a time")
        reader = threading.Thread(
            target=self._take, args=(requests, answers), name="packet-stream-requests", daemon=True
        )
        try:
            context.add_callback(answers.close)
            reader.start()
            yield from answers
        finally:
            answers.close()
            if reader.ident is not None:
                reader.join()
            self._gate.leave()

    def _take(self, requests: Iterator[Any], answers: Answers) -> None:
        """Put the client's packets through the switch until it sends no more."""
        try:
            for request in requests:
                if request.device_id != self._device_id or not request.packet:
                    continue
                if len(request.packet) > _MAX_FRAME:
                    log.warning("port %d: a packet of %d bytes is too long", request.port, len(request.packet))
                    continue
                self._gate.receive(request.port, request.packet, request.id)
        except Exception as error:
            # The iterator raises grpc's own exception when the client is gone: there is nobody left to tell.
            if not isinstance(error, grpc.RpcError) and type(error) is not Exception:
                log.exception("internal error on a packet stream")
        else:
            self._gate.settle()
        finally:
            answers.close()

    def _set_port_oper_status(self, request: Any, context: grpc.ServicerContext) -> Any:
        if request.device_id != self._device_id:
            context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"device_id {request.device_id}: this is device {self._device_id}",
            )
        if request.oper_status not in (messages.DOWN, messages.UP):
            context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"oper_status {request.oper_status}: expected OPER_STATUS_DOWN (1) or OPER_STATUS_UP (2)",
            )
        try:
            self._gate.set_up(request.port, request.oper_status == messages.UP)
        except DataplaneError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return messages.SetPortOperStatusResponse()
