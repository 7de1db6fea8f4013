"""A connection to one P4Runtime server, for reading: pipeline and entities. `session` adds arbitration and writing.

With `session` the only module that imports grpc.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import grpc
import grpc.aio
import msgspec
from google.protobuf.message import DecodeError

from controlplane.p4rt import wire
from p4base.messages import p4r
from p4base.rpc import p4r_grpc

_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", 256 << 20),
    ("grpc.max_send_message_length", 256 << 20),
    # A refused Write tells the fate of each of its updates in metadata, where gRPC by itself takes no more than 8 kB.
    ("grpc.max_metadata_size", 16 << 20),
    ("grpc.absolute_max_metadata_size", 32 << 20),
    ("grpc.enable_retries", 0),
)
CONNECT_SECONDS = 5.0
CALL_SECONDS = 60.0
_BEAT_SECONDS = 5.0
_REASON_SECONDS = 1.0
_CLOSED_HINT = " (it may want TLS, or a certificate of the client's, or speak no P4Runtime)"

SERVICE = p4r.DESCRIPTOR.services_by_name["P4Runtime"].full_name
_ENTITIES = p4r.ReadResponse.DESCRIPTOR.fields_by_name["entities"].number


def as_it_is(data: bytes) -> bytes:
    """The serializer, and deserializer, of what is bytes already."""
    return data


C = TypeVar("C", bound="Connection")


class SessionError(Exception):
    """The switch cannot be reached, or ended the session, or refused what every session needs. `str()` is for people."""


class NotPrimaryError(SessionError):
    """Another controller is primary; nothing may be written."""


class Tls(msgspec.Struct, frozen=True):
    """PEM files; a certificate and key of one's own are for mutual TLS."""

    ca: Path
    cert: Path | None = None
    key: Path | None = None
    server_name: str | None = None


class Target(msgspec.Struct, frozen=True):
    """Which switch, and as whom."""

    address: str
    device_id: int
    election_id: int = 1
    tls: Tls | None = None


class Connection:
    """An open connection, as an async context manager. It reads, and so disturbs nobody who writes."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.lost: str | None = None
        self._channel: grpc.aio.Channel | None = None

    # -- life

    async def __aenter__(self: C) -> C:
        """Connect. Raises SessionError."""
        try:
            await self._open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _open(self) -> None:
        self._channel = self._open_channel()
        self._stub = p4r_grpc.P4RuntimeStub(self._channel)
        self._read_bytes = self._channel.unary_stream(  # the stub would make messages of the answers
            f"/{SERVICE}/Read", request_serializer=p4r.ReadRequest.SerializeToString, response_deserializer=as_it_is
        )
        try:
            async with asyncio.timeout(CONNECT_SECONDS):  # unlike wait_for, it loses no cancellation (in Python 3.11)
                await self._channel.channel_ready()
        except TimeoutError:
            why = await self._why_unreachable()
            raise SessionError(f"cannot reach the switch at {self._target.address}{why and f': {why}'}") from None

    async def _why_unreachable(self) -> str:
        """gRPC's reason, which only a call tells; empty if it has none to give: nothing answers at all."""
        request = p4r.CapabilitiesRequest()
        try:
            await self._stub.Capabilities(request, timeout=_REASON_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                reason = re.sub(r"^[A-Z_]+: ", "", (error.details() or "").rpartition("last error: ")[2])
                return reason + (_CLOSED_HINT if reason.endswith("Socket closed") else "")
        return ""

    async def close(self) -> None:
        """End the connection; the switch keeps what it has."""
        if self._channel is not None:
            await self._channel.close(grace=None)
            self._channel = None

    def _open_channel(self) -> grpc.aio.Channel:
        tls = self._target.tls
        if tls is None:
            return grpc.aio.insecure_channel(self._target.address, options=_CHANNEL_OPTIONS)
        ca, cert, key = (None if path is None else _read_pem(path) for path in (tls.ca, tls.cert, tls.key))
        _check_pem(tls)
        credentials = grpc.ssl_channel_credentials(ca, key, cert)
        options = list(_CHANNEL_OPTIONS)
        if tls.server_name is not None:
            options.append(("grpc.ssl_target_name_override", tls.server_name))  # type: ignore[arg-type]
        return grpc.aio.secure_channel(self._target.address, credentials, options=options)

    # -- calls

    def _check(self) -> None:
        if self.lost is not None:
            raise SessionError(self.lost)

    def _failed(self, what: str, error: grpc.aio.AioRpcError) -> SessionError:
        text = f"{what}: {error.code().name}: {error.details()}"
        if error.code() is grpc.StatusCode.PERMISSION_DENIED:
            return NotPrimaryError(text)
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return SessionError(f"the switch at {self._target.address} has gone: {error.details()}")
        return SessionError(text)

    async def pipeline_cookie(self) -> int | None:
        """The cookie of the pipeline in force; None if there is none. Also tells whether the switch still answers.

        gRPC's own keepalive would be refused by most servers at a useful rate ("too many pings").

        Raises:
            SessionError
        """
        self._check()
        request = p4r.GetForwardingPipelineConfigRequest(
            device_id=self._target.device_id, response_type=p4r.GetForwardingPipelineConfigRequest.COOKIE_ONLY
        )
        try:
            response = await self._stub.GetForwardingPipelineConfig(request, timeout=_BEAT_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND):
                return None
            raise self._failed("the switch does not tell its pipeline", error) from None
        if not response.config.HasField("cookie"):
            return None
        return response.config.cookie.cookie

    async def pipeline(self) -> p4r.ForwardingPipelineConfig | None:
        """P4Info and device config of the pipeline in force, as the switch gives them; None if there is none.

        Raises:
            SessionError
        """
        self._check()
        request = p4r.GetForwardingPipelineConfigRequest(
            device_id=self._target.device_id, response_type=p4r.GetForwardingPipelineConfigRequest.ALL
        )
        try:
            response = await self._stub.GetForwardingPipelineConfig(request, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND):
                return None
            raise self._failed("the switch does not tell its pipeline", error) from None
        return response.config if response.config.p4info.tables else None

    async def read(self, *entities: p4r.Entity) -> AsyncIterator[p4r.Entity]:
        """What the switch has that these (as the specification's wildcards) ask for; nothing is no error. Raises SessionError."""
        async for data in self.read_bytes(*entities):
            try:
                yield p4r.Entity.FromString(data)
            except DecodeError:
                raise SessionError("the switch answers a Read with what is no entity") from None

    async def read_bytes(self, *entities: p4r.Entity) -> AsyncIterator[bytes]:
        """The same, each entity as it came over the wire. Raises SessionError."""
        async for response in self.read_responses(*entities):
            try:
                for data in wire.split(response, _ENTITIES):
                    yield data
            except wire.WireError as error:
                raise SessionError(f"the switch answers a Read with what is no ReadResponse: {error}") from None

    async def read_responses(self, *entities: p4r.Entity) -> AsyncGenerator[bytes, None]:
        """The same, in the ReadResponses that came over the wire. Raises SessionError."""
        self._check()
        request = p4r.ReadRequest(device_id=self._target.device_id, entities=entities)
        try:
            async for response in self._read_bytes(request, timeout=10 * CALL_SECONDS):
                yield response
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return
            raise self._failed("the switch cannot be read", error) from None

    def read_all(self) -> AsyncIterator[bytes]:
        """Every table entry, member and group, as it came over the wire. Raises SessionError."""
        return self.read_bytes(*everything())


def _read_pem(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SessionError(f"cannot read the TLS file {path}: {error.strerror}") from None


def _check_pem(tls: Tls) -> None:
    """Raise SessionError if the files are no certificates, or the key is not the certificate's: gRPC would only not connect."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(tls.ca)
    except OSError:
        raise SessionError(f"{tls.ca} has no certificate in PEM format") from None
    if tls.cert is None and tls.key is None:
        return
    if tls.cert is None or tls.key is None:
        raise SessionError("a TLS certificate and its key are given together or not at all")
    try:
        context.load_cert_chain(tls.cert, tls.key, password=b"")
    except OSError:
        raise SessionError(
            f"{tls.cert} and {tls.key} are not a certificate and its key in PEM format, unencrypted"
        ) from None


def everything() -> Iterable[p4r.Entity]:
    """What to ask for, for every table entry, member and group."""
    wanted = [p4r.Entity(), p4r.Entity(), p4r.Entity()]
    wanted[0].action_profile_member.SetInParent()
    wanted[1].action_profile_group.SetInParent()
    wanted[2].table_entry.SetInParent()
    return wanted
