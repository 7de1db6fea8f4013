"""The gRPC side of the P4Runtime service. With `packet_stream` the only module that imports grpc.

Answers are handed over already serialised, and requests are plain messages, so that everything below can be tested and
measured without a socket.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn, TypeVar

import grpc
import msgspec
from google.protobuf.message import DecodeError, Message

from p4base.messages import p4r
from p4switch.addresses import why_not_listen
from p4switch.service.arbitration import Client
from p4switch.service.core import Device
from p4switch.service.errors import BatchError, Code, P4Error, invalid

log = logging.getLogger(__name__)

SERVICE = "p4.v1.P4Runtime"

MAX_MESSAGE_BYTES = 256 << 20
"""The largest request taken: a pipeline configuration or a batch of a few million updates."""

MAX_STREAMS = 256
"""StreamChannels open at a time; each holds a thread of the server for as long as it lives."""

RPC_THREADS = 16
"""Threads for all other requests."""

_DETAILS = "grpc-status-details-bin"

R = TypeVar("R", bound=Message | bytes)


class TlsOptions(msgspec.Struct, frozen=True):
    """The server's certificate chain and key, and the authority that signs clients' certificates (all PEM)."""

    certificate: bytes
    key: bytes
    ca_certificate: bytes | None = None
    require_client_certificate: bool = False


class BindError(Exception):
    """The server cannot listen on the address."""


class P4RuntimeServer:
    """A running P4Runtime server for one device.

    Attributes:
        port: the TCP port that it listens on (the one chosen, if 0 was asked for).
        on_write: called after each Write with its seconds and whether it succeeded.
    """

    on_write: Callable[[float, bool], None] | None = None

    def __init__(self, device: Device, address: str, tls: TlsOptions | None = None) -> None:
        """Bind `address` ("host:port"); `start` begins to serve.

        Raises:
            BindError: the address is in use or not this machine's.
        """
        self._device = device
        self._clients: set[Client] = set()
        self._clients_lock = threading.Lock()
        self._server = grpc.server(
            ThreadPoolExecutor(max_workers=MAX_STREAMS + RPC_THREADS, thread_name_prefix="p4runtime"),
            options=[
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
                ("grpc.so_reuseport", 0),  # two switches on one address is a mistake, not load balancing
            ],
        )
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, self._methods()),))
        try:
            if tls is None:
                self.port = self._server.add_insecure_port(address)
            else:
                self.port = self._server.add_secure_port(address, _credentials(tls))
        except RuntimeError:
            self.port = 0
        if not self.port:
            why = why_not_listen(address)
            if why is None:
                why = "gRPC refused it" if tls is None else "the certificates or the key are not usable PEM files"
            raise BindError(f"cannot listen on {address}: {why}")

    def _methods(self) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        return {
            "Write": _unary(bytes, self._write),
            "Read": grpc.unary_stream_rpc_method_handler(
                self._read, request_deserializer=None, response_serializer=None
            ),
            "SetForwardingPipelineConfig": _unary(p4r.SetForwardingPipelineConfigRequest, self._set_config),
            "GetForwardingPipelineConfig": _unary(p4r.GetForwardingPipelineConfigRequest, self._device.get_config),
            "Capabilities": _unary(p4r.CapabilitiesRequest, self._device.capabilities),
            "StreamChannel": grpc.stream_stream_rpc_method_handler(
                self._stream_channel, request_deserializer=None, response_serializer=None
            ),
        }

    def start(self) -> None:
        """Serve, on threads of the server's own."""
        self._server.start()

    def stop(self, grace: float = 2.0) -> None:
        """Close all streams, let requests that have started finish within `grace` seconds, and stop."""
        stopped = self._server.stop(grace)
        with self._clients_lock:
            clients = list(self._clients)
        for client in clients:
            client.outbox.close(P4Error(Code.UNAVAILABLE, "the switch is shutting down"))
        stopped.wait(grace + 5)

    # -- requests

    def _write(self, request: bytes) -> p4r.WriteResponse:
        started, succeeded = time.monotonic(), False
        try:
            self._device.write_bytes(request)
            succeeded = True
        finally:
            if self.on_write is not None:
                self.on_write(time.monotonic() - started, succeeded)
        return p4r.WriteResponse()

    def _set_config(self, request: p4r.SetForwardingPipelineConfigRequest) -> p4r.SetForwardingPipelineConfigResponse:
        self._device.set_config(request)
        return p4r.SetForwardingPipelineConfigResponse()

    def _read(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        try:
            chunks, error = self._device.read(_parse(p4r.ReadRequest, request))
        except P4Error as refused:
            _abort(context, refused)
        except Exception as failure:
            log.exception("internal error in a read")
            _abort(context, P4Error(Code.INTERNAL, f"internal error of the switch: {failure}; please report it"))
        yield from chunks
        if error is not None:
            _abort(context, error)

    # -- the stream

    def _stream_channel(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        client = Client()
        with self._clients_lock:
            if len(self._clients) >= MAX_STREAMS:
                _abort(context, P4Error(Code.RESOURCE_EXHAUSTED, f"{MAX_STREAMS} streams are open already"))
            self._clients.add(client)
        context.add_callback(client.outbox.close)
        threading.Thread(
            target=self._take_requests, args=(client, requests), name="p4runtime-stream", daemon=True
        ).start()
        try:
            yield from client.outbox
        finally:
            self._device.arbiter.remove(client)
            with self._clients_lock:
                self._clients.discard(client)
        if client.outbox.error is not None:
            _abort(context, client.outbox.error)

    def _take_requests(self, client: Client, requests: Iterator[bytes]) -> None:
        """Take the client's messages until it leaves or makes a mistake that ends its stream."""
        try:
            for request in requests:
                self._device.stream_message(client, _parse(p4r.StreamMessageRequest, request))
        except P4Error as error:
            client.outbox.close(error)
        except Exception as error:
            # The iterator raises grpc's own exception when the client is gone: there is nobody left to tell.
            if not isinstance(error, grpc.RpcError) and type(error) is not Exception:
                log.exception("internal error on a stream")
            client.outbox.close(P4Error(Code.INTERNAL, f"internal error of the switch: {error}"))
        else:
            client.outbox.close()


def _parse(request_type: type[R], request: bytes) -> R:
    """The message in the bytes; gRPC itself would call what is not one an internal error."""
    if issubclass(request_type, Message):
        try:
            return request_type.FromString(request)
        except DecodeError:
            raise invalid(f"the request is not a {request_type.DESCRIPTOR.full_name}") from None
    return request_type(request)


def _unary(request_type: type[R], handle: Callable[[R], Message]) -> grpc.RpcMethodHandler[bytes, Message]:
    """A method handler that turns P4Error into a gRPC status. `bytes` asks for the request as it came."""

    def respond(request: bytes, context: grpc.ServicerContext) -> Message:
        try:
            return handle(_parse(request_type, request))
        except P4Error as error:
            _abort(context, error)
        except Exception as error:
            log.exception("internal error in a request")
            _abort(context, P4Error(Code.INTERNAL, f"internal error of the switch: {error}; please report it"))

    return grpc.unary_unary_rpc_method_handler(
        respond,
        request_deserializer=None,
        response_serializer=lambda message: message.SerializeToString(),
    )


def _abort(context: grpc.ServicerContext, error: P4Error) -> NoReturn:
    if isinstance(error, BatchError):
        context.set_trailing_metadata(((_DETAILS, error.status().SerializeToString()),))
    context.abort(grpc.StatusCode[error.code.name], str(error))
    raise AssertionError("context.abort returned")


def _credentials(tls: TlsOptions) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.key, tls.certificate)],
        root_certificates=tls.ca_certificate,
        require_client_auth=tls.require_client_certificate,
    )
