"""The session with one P4Runtime server that writes: arbitration, pipeline and writes, on top of a `Connection`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio
import msgspec
from google.protobuf.message import DecodeError

from controlplane.p4rt import connection, wire
from controlplane.p4rt.connection import CALL_SECONDS, Connection, NotPrimaryError, SessionError, Target, Tls
from p4base.messages import p4r, rpc_code, rpc_status

__all__ = ["NotPrimaryError", "Refusal", "Session", "SessionError", "Target", "Tls"]

log = logging.getLogger(__name__)

_UPDATES = wire.tag(p4r.WriteRequest.DESCRIPTOR, "updates", wire.DELIMITED)
_ENTITY = wire.tag(p4r.Update.DESCRIPTOR, "entity", wire.DELIMITED)
_TYPES: dict[int, bytes] = {
    int(kind): wire.tag(p4r.Update.DESCRIPTOR, "type", wire.VARINT) + wire.varint(kind)
    for kind in p4r.Update.Type.values()
    if kind
}

_TAKE_OVER_SECONDS = 0.5
"""How long a backup waits, after the primary has left, before it steps forward."""


class Refusal(msgspec.Struct, frozen=True):
    """Why the switch refused one update: the name of a gRPC code, and its words."""

    code: str
    message: str


class Session(Connection):
    """An open session, as an async context manager.

    `changed` is set whenever `is_primary` or `lost` may have changed; whoever waits on it clears it.
    """

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._election_id = target.election_id
        self.is_primary = False
        self.changed = asyncio.Event()
        self._stream: grpc.aio.StreamStreamCall[p4r.StreamMessageRequest, p4r.StreamMessageResponse] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._take_over: asyncio.Task[None] | None = None
        self._answered = asyncio.Event()

    # -- life

    async def _open(self) -> None:
        """Connect and ask to be primary."""
        await super()._open()
        assert self._channel is not None
        self._write_bytes = self._channel.unary_unary(
            f"/{connection.SERVICE}/Write",
            request_serializer=connection.as_it_is,
            response_deserializer=p4r.WriteResponse.FromString,
        )
        open_stream: Any = self._stub.StreamChannel  # without an iterator of requests, which the type stubs insist on
        self._stream = stream = open_stream()
        self._reader = asyncio.create_task(self._read_stream(stream), name="p4runtime-stream")
        await self._ask()
        try:
            async with asyncio.timeout(connection.CONNECT_SECONDS):
                await self._answered.wait()
        except TimeoutError:
            raise SessionError(f"the switch at {self._target.address} does not answer the arbitration") from None
        if self.lost is not None:
            raise SessionError(self.lost)

    async def close(self) -> None:
        """End the session; the switch keeps what it has."""
        self._lose("the session was closed")
        if self._stream is not None:
            self._stream.cancel()
        tasks = [task for task in (self._reader, self._take_over) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await super().close()

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
            async with asyncio.timeout(timeout):
                await self.changed.wait()
        except TimeoutError:
            return
        self.changed.clear()

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
            await self._stub.SetForwardingPipelineConfig(request, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise self._failed("the switch refuses the pipeline", error) from None

    async def write(self, updates: Sequence[tuple[int, bytes]]) -> list[Refusal | None]:
        """Write one batch of (Update.Type, serialized Entity); for each, None or why it was refused.

        Raises:
            NotPrimaryError: nothing was written, or all of it may have been: read back before going on.
            SessionError: the same.
        """
        self._check()
        if not self.is_primary:
            raise NotPrimaryError("not primary: nothing is written")
        request = p4r.WriteRequest(device_id=self._target.device_id)
        self._elect(request.election_id)
        head = request.SerializeToString()
        parts = [wire.delimited(_UPDATES, _TYPES[kind] + wire.delimited(_ENTITY, entity)) for kind, entity in updates]
        try:
            await self._write_bytes(head + b"".join(parts), timeout=CALL_SECONDS)
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
