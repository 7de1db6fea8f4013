"""A connection to one P4Runtime server, for reading: pipeline and entities. `session` adds arbitration and writing.

With `session` the only module that imports grpc.
"""

from __future__ import annotations

import asyncio
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
            raise SessionError(f"cannot reach the switch at {self._target.address}") from None

    async def close(self) -> None:
        """End the connection; the switch keeps what it has."""
        if self._channel is not None:
            await self._channel.close(grace=None)
            self._channel = None

    def _open_channel(self) -> grpc.aio.Channel:
        tls = self._target.tls
        if tls is None:
            return grpc.aio.insecure_channel(self._target.address, options=_CHANNEL_OPTIONS)
        try:
            credentials = grpc.ssl_channel_credentials(
                tls.ca.read_bytes(),
                tls.key.read_bytes() if tls.key is not None else None,
                tls.cert.read_bytes() if tls.cert is not None else None,
            )
        except OSError as error:
            raise SessionError(f"cannot read a TLS file: {error}") from None
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


def everything() -> Iterable[p4r.Entity]:
    """What to ask for, for every table entry, member and group."""
    wanted = [p4r.Entity(), p4r.Entity(), p4r.Entity()]
    wanted[0].action_profile_member.SetInParent()
    wanted[1].action_profile_group.SetInParent()
    wanted[2].table_entry.SetInParent()
    return wanted
