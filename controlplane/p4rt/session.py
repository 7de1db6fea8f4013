"""The connection to one P4Runtime server: arbitration, pipeline, reads and writes. The only module that imports grpc."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
import grpc.aio
import msgspec
from google.protobuf.message import DecodeError

from p4base.messages import p4r, rpc_code, rpc_status
from p4base.rpc import p4r_grpc

log = logging.getLogger(__name__)

_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", 256 << 20),
    ("grpc.max_send_message_length", 256 << 20),
    ("grpc.enable_retries", 0),
)
_CONNECT_SECONDS = 5.0
_CALL_SECONDS = 60.0
_BEAT_SECONDS = 5.0
_TAKE_OVER_SECONDS = 0.5
"""How long a backup waits, after the primary has left, before it steps forward."""


class SessionError(Exception):
    """The switch cannot be reached, or ended the session, or refused what every session needs. `str()` is for people."""


class NotPrimaryError(SessionError):
    """Another controller is primary; nothing may be written."""


class Refusal(msgspec.Struct, frozen=True):
    """Why the switch refused one update: the name of a gRPC code, and its words."""

    code: str
    message: str


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
    election_id: int
    tls: Tls | None = None


class Session:
    """An open session, as an async context manager.

    `changed` is set whenever `is_primary` or `lost` may have changed; whoever waits on it clears it.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._election_id = target.election_id
        self.is_primary = False
        self.lost: str | None = None
        self.changed = asyncio.Event()
        self._stream: grpc.aio.StreamStreamCall[p4r.StreamMessageRequest, p4r.StreamMessageResponse] | None = None
        self._channel: grpc.aio.Channel | None = None
        self._reader: asyncio.Task[None] | None = None
        self._take_over: asyncio.Task[None] | None = None
        self._answered = asyncio.Event()

    # -- life

    async def __aenter__(self) -> Session:
        """Connect and ask to be primary. Raises SessionError."""
        self._channel = self._open_channel()
        self._stub = p4r_grpc.P4RuntimeStub(self._channel)
        try:
            try:
                await asyncio.wait_for(self._channel.channel_ready(), _CONNECT_SECONDS)
            except TimeoutError:
                raise SessionError(f"cannot reach the switch at {self._target.address}") from None
            open_stream: Any = (
                self._stub.StreamChannel
            )  # without an iterator of requests, which the type stubs insist on
            self._stream = stream = open_stream()
            self._reader = asyncio.create_task(self._read_stream(stream), name="p4runtime-stream")
            await self._ask()
            try:
                await asyncio.wait_for(self._answered.wait(), _CONNECT_SECONDS)
            except TimeoutError:
                raise SessionError(f"the switch at {self._target.address} does not answer the arbitration") from None
            if self.lost is not None:
                raise SessionError(self.lost)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the session; the switch keeps what it has."""
        self._lose("the session was closed")
        if self._stream is not None:
            self._stream.cancel()
        tasks = [task for task in (self._reader, self._take_over) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
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

    def _lose(self, reason: str) -> None:
        if self.lost is None:
            self.lost = reason
        self.is_primary = False
        self._answered.set()
        self.changed.set()

    # -- arbitration (P4Runtime specification, "Client Arbitration and Controller Replication")

    async def _ask(self) -> None:
        request = p4r.StreamMessageRequest()
        request.arbitration.device_id = self._target.device_id
        request.arbitration.election_id.low = self._election_id & (1 << 64) - 1
        request.arbitration.election_id.high = self._election_id >> 64
        if self._stream is not None:
            with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # the reader learns why
                await self._stream.write(request)

    async def _read_stream(
        self, stream: grpc.aio.StreamStreamCall[p4r.StreamMessageRequest, p4r.StreamMessageResponse]
    ) -> None:
        try:
            while isinstance(response := await stream.read(), p4r.StreamMessageResponse):
                kind = response.WhichOneof("update")
                if kind == "arbitration":
                    self._on_arbitration(response.arbitration)
                elif kind == "error":
                    log.warning("the switch reports a stream error: %s", response.error.message)
            code = await stream.code()
            if code is not grpc.StatusCode.OK:
                raise grpc.aio.AioRpcError(
                    code,
                    grpc.aio.Metadata(),
                    grpc.aio.Metadata(),
                    details=await stream.details(),
                    debug_error_string=None,
                )
            self._lose(f"the switch at {self._target.address} closed the session")
        except grpc.aio.AioRpcError as error:
            self._lose(self._explain_stream(error))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._lose(f"the session with {self._target.address} failed: {error!r}")

    def _explain_stream(self, error: grpc.aio.AioRpcError) -> str:
        where = f"the switch at {self._target.address}"
        if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
            return f"{where} refuses election id {self._election_id}; another controller may have it: {error.details()}"
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return f"{where} has no device {self._target.device_id}: {error.details()}"
        return f"the session with {where} ended: {error.code().name}: {error.details()}"

    def _on_arbitration(self, answer: p4r.MasterArbitrationUpdate) -> None:
        was_primary = self.is_primary
        self.is_primary = answer.status.code == rpc_code.OK
        highest = answer.election_id.high << 64 | answer.election_id.low
        self._answered.set()
        self.changed.set()
        if self._take_over is not None and answer.status.code != rpc_code.NOT_FOUND:
            self._take_over.cancel()
            self._take_over = None
        if self.is_primary and not was_primary:
            log.info("primary for device %d at %s", self._target.device_id, self._target.address)
        elif not self.is_primary and answer.status.code == rpc_code.NOT_FOUND and self._take_over is None:
            self._take_over = asyncio.create_task(self._step_forward(highest), name="p4runtime-take-over")
        elif not self.is_primary:
            level = logging.WARNING if was_primary else logging.INFO
            log.log(level, "another controller is primary (election id %d); standing by", highest)

    async def _step_forward(self, highest: int) -> None:
        """There is no primary: outbid the one that has left."""
        await asyncio.sleep(_TAKE_OVER_SECONDS)
        self._election_id = max(self._election_id, highest + 1)
        log.info("no controller is primary; asking with election id %d", self._election_id)
        await self._ask()

    # -- calls

    async def wait(self, timeout: float | None = None) -> None:
        """Wait for `changed`, at most `timeout` seconds, and clear it."""
        try:
            await asyncio.wait_for(self.changed.wait(), timeout)
        except TimeoutError:
            return
        self.changed.clear()

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

    async def push_pipeline(self, config: p4r.ForwardingPipelineConfig) -> None:
        """Replace the pipeline; everything in its tables is gone. Raises SessionError."""
        self._check()
        request = p4r.SetForwardingPipelineConfigRequest(
            device_id=self._target.device_id,
            action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
            config=config,
        )
        self._elect(request.election_id)
        try:
            await self._stub.SetForwardingPipelineConfig(request, timeout=_CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise self._failed("the switch refuses the pipeline", error) from None

    async def read_all(self) -> AsyncIterator[p4r.Entity]:
        """Every table entry, member and group. Raises SessionError."""
        self._check()
        request = p4r.ReadRequest(device_id=self._target.device_id)
        request.entities.add().action_profile_member.SetInParent()
        request.entities.add().action_profile_group.SetInParent()
        request.entities.add().table_entry.SetInParent()
        try:
            async for response in self._stub.Read(request, timeout=10 * _CALL_SECONDS):
                for entity in response.entities:
                    yield entity
        except grpc.aio.AioRpcError as error:
            raise self._failed("the switch cannot be read back", error) from None

    async def write(self, updates: Sequence[tuple[int, p4r.Entity]]) -> list[Refusal | None]:
        """Write one batch of (Update.Type, entity); for each, None or why it was refused.

        Raises:
            NotPrimaryError: nothing was written, or all of it may have been: read back before going on.
            SessionError: the same.
        """
        self._check()
        if not self.is_primary:
            raise NotPrimaryError("not primary: nothing is written")
        request = p4r.WriteRequest(device_id=self._target.device_id)
        self._elect(request.election_id)
        for kind, entity in updates:
            request.updates.add(type=kind, entity=entity)
        try:
            await self._stub.Write(request, timeout=_CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            refusals = _refusals(error, len(updates))
            if refusals is None:
                raise self._failed("a write failed", error) from None
            return refusals
        return [None] * len(updates)

    def _elect(self, election_id: p4r.Uint128) -> None:
        election_id.low = self._election_id & (1 << 64) - 1
        election_id.high = self._election_id >> 64


def _refusals(error: grpc.aio.AioRpcError, count: int) -> list[Refusal | None] | None:
    """The errors of the single updates in a failed Write (specification, "Batching and Ordering of Updates"); None if there are none."""
    if error.code() is not grpc.StatusCode.UNKNOWN:
        return None
    metadata: Any = error.trailing_metadata() or ()
    details = next((value for key, value in metadata if key == "grpc-status-details-bin"), None)
    if not isinstance(details, bytes):
        return None
    status = rpc_status.Status()
    try:
        status.ParseFromString(details)
        if len(status.details) != count:
            return None
        found: list[Refusal | None] = []
        for detail in status.details:
            item = p4r.Error()
            detail.Unpack(item)
            name = rpc_code.Code.Name(item.canonical_code)  # type: ignore[arg-type]
            found.append(None if item.canonical_code == rpc_code.OK else Refusal(name, item.message))
    except (DecodeError, ValueError):
        return None
    return found
