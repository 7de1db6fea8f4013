"""A small P4Runtime server in memory, strict where a controller can go wrong, with faults on request.

It refuses what a real server would: a write by somebody who is not primary, two updates of one key in a batch, an insert of what
is there, references to members and groups that are not, deletion of what is referred to, empty groups.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import grpc
import grpc.aio
from google.protobuf import any_pb2

from controlplane.p4rt.codec import entry_key, group_key, member_key
from p4base.messages import p4i, p4r, rpc_code, rpc_status
from p4base.rpc import p4r_grpc

Refuse = Callable[[p4r.Update], tuple[int, str] | None]


class FakeSwitch(p4r_grpc.P4RuntimeServicer):
    """State, a log of what was written, and knobs for faults."""

    def __init__(self, promotes: bool = False) -> None:
        self.config = p4r.ForwardingPipelineConfig()
        self.entities: dict[bytes, p4r.Entity] = {}
        self.batches: list[list[p4r.Update]] = []
        self.pushes = 0
        self.refuse: Refuse = lambda update: None
        self.before_write: Callable[[int], None] = lambda number: None
        self.after_update: Callable[[], None] = lambda: None
        self.order: Callable[[list[p4r.Update]], None] = lambda updates: None  # a server may apply a batch in any order
        self.cut_after: int | None = None  # batches until the server breaks off, mid-sync
        self.pads = True  # a server need not give byte strings back in the canonical form
        self.highest = 0
        self.streams: dict[int, asyncio.Queue[p4r.StreamMessageResponse]] = {}
        self.primary = 0
        self._server: grpc.aio.Server | None = None
        self.port = 0

    # -- life

    async def start(self, port: int = 0, credentials: grpc.ServerCredentials | None = None) -> None:
        """Serve on `port`, which a server that has just been stopped may keep for a moment more."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        p4r_grpc.add_P4RuntimeServicer_to_server(self, self._server)
        address = f"127.0.0.1:{port}"
        deadline = time.monotonic() + 20
        while True:
            try:
                if credentials is None:
                    self.port = self._server.add_insecure_port(address)
                else:
                    self.port = self._server.add_secure_port(address, credentials)
                break
            except RuntimeError:
                if not port or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.01)
        await self._server.start()

    async def stop(self) -> None:
        assert self._server is not None
        self.streams.clear()
        self.primary = self.highest = 0
        await self._server.stop(None)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def updates(self) -> list[p4r.Update]:
        return [update for batch in self.batches for update in batch]

    def table(self, name: str) -> list[p4r.TableEntry]:
        ids = {table.preamble.alias: table.preamble.id for table in self.config.p4info.tables}
        return [
            entity.table_entry
            for entity in self.entities.values()
            if entity.WhichOneof("entity") == "table_entry" and entity.table_entry.table_id == ids[name]
        ]

    # -- arbitration

    async def StreamChannel(
        self,
        request_iterator: AsyncIterator[p4r.StreamMessageRequest],
        context: grpc.aio.ServicerContext[object, object],
    ) -> AsyncIterator[p4r.StreamMessageResponse]:
        outgoing: asyncio.Queue[p4r.StreamMessageResponse | None] = asyncio.Queue()
        mine = 0

        async def read() -> None:
            nonlocal mine
            async for request in request_iterator:
                wanted = request.arbitration.election_id.low
                if wanted in self.streams and self.streams[wanted] is not outgoing:
                    mine = -1
                    outgoing.put_nowait(None)
                    return
                self.streams.pop(mine, None)
                mine = wanted
                self.streams[mine] = outgoing  # type: ignore[assignment]
                self.highest = max(self.highest, mine)
                self.primary = self.highest if self.highest in self.streams else 0
                self.notify()
            outgoing.put_nowait(None)

        reader = asyncio.create_task(read())
        try:
            while (message := await outgoing.get()) is not None:
                yield message
            if mine == -1:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "election id already in use")
        finally:
            reader.cancel()
            if self.streams.get(mine) is outgoing:
                del self.streams[mine]
                if self.primary == mine:
                    self.primary = 0
                self.notify()

    def notify(self) -> None:
        for election_id, outgoing in self.streams.items():
            response = p4r.StreamMessageResponse()
            response.arbitration.election_id.low = self.highest
            if election_id == self.primary:
                response.arbitration.status.code = rpc_code.OK
            else:
                response.arbitration.status.code = rpc_code.ALREADY_EXISTS if self.primary else rpc_code.NOT_FOUND
            outgoing.put_nowait(response)

    # -- pipeline

    async def SetForwardingPipelineConfig(
        self, request: p4r.SetForwardingPipelineConfigRequest, context: grpc.aio.ServicerContext[object, object]
    ) -> p4r.SetForwardingPipelineConfigResponse:
        if request.election_id.low != self.primary:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not primary")
        self.config = request.config
        self.entities.clear()
        self.pushes += 1
        return p4r.SetForwardingPipelineConfigResponse()

    async def GetForwardingPipelineConfig(
        self, request: p4r.GetForwardingPipelineConfigRequest, context: grpc.aio.ServicerContext[object, object]
    ) -> p4r.GetForwardingPipelineConfigResponse:
        if not self.config.p4info.tables:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no pipeline")
        response = p4r.GetForwardingPipelineConfigResponse()
        response.config.cookie.cookie = self.config.cookie.cookie
        return response

    # -- Write and Read

    async def Write(
        self, request: p4r.WriteRequest, context: grpc.aio.ServicerContext[object, object]
    ) -> p4r.WriteResponse:
        if request.election_id.low != self.primary:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not primary")
        self.before_write(len(self.batches))
        if self.cut_after is not None:
            self.cut_after -= 1
            if self.cut_after < 0:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "cut")
        self.batches.append(list(request.updates))
        keys = [self._key(update.entity) for update in request.updates]
        assert len(set(keys)) == len(keys), "two updates of one key in a batch"
        shuffled = list(request.updates)
        self.order(shuffled)
        answers = {self._key(update.entity): self._apply(update) for update in shuffled}
        errors = [answers[key] for key in keys]
        if any(code for code, _ in errors):
            status = rpc_status.Status(code=rpc_code.UNKNOWN, message="some updates failed")
            for code, message in errors:
                packed = any_pb2.Any()
                packed.Pack(p4r.Error(canonical_code=code, message=message))
                status.details.append(packed)
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            await context.abort(grpc.StatusCode.UNKNOWN, "some updates failed")
        return p4r.WriteResponse()

    async def Capabilities(
        self, request: p4r.CapabilitiesRequest, context: grpc.aio.ServicerContext[object, object]
    ) -> p4r.CapabilitiesResponse:
        return p4r.CapabilitiesResponse(p4runtime_api_version="1.4.0")

    def _apply(self, update: p4r.Update) -> tuple[int, str]:
        refused = self.refuse(update)
        if refused is not None:
            return refused
        key = self._key(update.entity)
        present = key in self.entities
        if update.type == p4r.Update.INSERT and present:
            return rpc_code.ALREADY_EXISTS, "exists"
        if update.type != p4r.Update.INSERT and not present:
            return rpc_code.NOT_FOUND, "not found"
        if update.type == p4r.Update.DELETE:
            if key in self._referred():
                return rpc_code.FAILED_PRECONDITION, f"{key!r} is still referred to"
            del self.entities[key]
            self.after_update()
            return rpc_code.OK, ""
        for target in _references(update.entity, self.config.p4info):
            if target not in self.entities:
                return rpc_code.NOT_FOUND, f"{target!r} is not there"
        if update.entity.HasField("action_profile_group") and not update.entity.action_profile_group.members:
            return rpc_code.INVALID_ARGUMENT, "an empty group"
        stored = p4r.Entity()
        stored.CopyFrom(update.entity)
        self.entities[key] = stored
        self.after_update()
        return rpc_code.OK, ""

    def _referred(self) -> set[bytes]:
        return {target for entity in self.entities.values() for target in _references(entity, self.config.p4info)}

    def _key(self, entity: p4r.Entity) -> bytes:
        if entity.HasField("table_entry"):
            bare = p4r.TableEntry(table_id=entity.table_entry.table_id, priority=entity.table_entry.priority)
            bare.match.extend(entity.table_entry.match)
            return entry_key(bare)
        if entity.HasField("action_profile_member"):
            return member_key(entity.action_profile_member.action_profile_id, entity.action_profile_member.member_id)
        return group_key(entity.action_profile_group.action_profile_id, entity.action_profile_group.group_id)

    async def Read(
        self, request: p4r.ReadRequest, context: grpc.aio.ServicerContext[object, object]
    ) -> AsyncIterator[p4r.ReadResponse]:
        response = p4r.ReadResponse()
        for entity in self.entities.values():
            copy = response.entities.add()
            copy.CopyFrom(entity)
            for match in copy.table_entry.match if self.pads and copy.HasField("table_entry") else ():
                if match.HasField("exact"):
                    match.exact.value = b"\0" + match.exact.value
        yield response


def _references(entity: p4r.Entity, info: p4i.P4Info) -> list[bytes]:
    if entity.HasField("action_profile_group"):
        group = entity.action_profile_group
        return [member_key(group.action_profile_id, member.member_id) for member in group.members]
    if entity.HasField("table_entry") and entity.table_entry.action.WhichOneof("type") == "action_profile_group_id":
        table = next(item for item in info.tables if item.preamble.id == entity.table_entry.table_id)
        return [group_key(table.implementation_id, entity.table_entry.action.action_profile_group_id)]
    return []
