"""Reading a running switch: pipeline and entries, by name. Works beside whoever writes, on any P4Runtime server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterator
from types import TracebackType
from typing import TypeVar

from controlplane.desired.entities import ActionProfileGroup, ActionProfileMember, Entity
from controlplane.p4rt.allocate import Allocator
from controlplane.p4rt.codec import Codec, PipelineMismatchError, WireEntity
from controlplane.p4rt.connection import Connection, SessionError, Target
from kulvert.failures import UserError
from p4base.lookup import P4InfoIndex
from p4base.messages import p4r

T = TypeVar("T")


class Switch:
    """A connection, as a context manager, with the pipeline that the switch runs.

    Attributes:
        config: what the switch says of its pipeline.
        index: its P4Info.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._runner = asyncio.Runner()
        self._connection = Connection(target)

    def __enter__(self) -> Switch:
        """Connect. Raises UserError: no switch there, or one without a pipeline."""
        try:
            self._runner.run(self._connection.__aenter__())
            config = self._runner.run(self._connection.pipeline())
            if config is None:
                raise UserError(f"the switch at {self._target.address} has no pipeline yet")
        except SessionError as error:
            self._close()
            raise UserError(str(error)) from None
        except BaseException:
            self._close()
            raise
        self.config = config
        self.index = P4InfoIndex(config.p4info)
        self.codec = Codec(self.index, Allocator())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        self._runner.run(self._connection.close())
        self._runner.close()

    def read(self, *wanted: p4r.Entity) -> list[p4r.Entity]:
        """The entities that `wanted` asks for. Raises UserError."""

        async def collect() -> list[p4r.Entity]:
            return [entity async for entity in self._connection.read(*wanted)]

        return self._run(collect())

    def _run(self, work: Coroutine[None, None, list[p4r.Entity]]) -> list[p4r.Entity]:
        try:
            return self._runner.run(work)
        except SessionError as error:
            raise UserError(str(error)) from None

    def read_responses(self, *wanted: p4r.Entity) -> Iterator[bytes]:
        """The serialized ReadResponses that answer, one by one as they come. Raises UserError."""
        responses = self._connection.read_responses(*wanted)
        try:
            while (response := self._runner.run(_next(responses))) is not None:
                yield response
        except SessionError as error:
            raise UserError(str(error)) from None
        finally:
            self._runner.run(responses.aclose())

    def read_all(self) -> Iterator[WireEntity]:
        """Every entry, member and group that a controller could have written."""

        async def collect() -> list[p4r.Entity]:
            return [p4r.Entity.FromString(data) async for data in self._connection.read_all()]

        for entity in self._run(collect()):
            wire = self.codec.canonical(entity)
            if wire is not None:
                yield wire

    def table_entries(self, name: str) -> list[p4r.TableEntry]:
        """The entries of a table, without its default. Raises UserError for a name that is none."""
        wanted = p4r.Entity()
        wanted.table_entry.table_id = self.table_id(name)
        return [entity.table_entry for entity in self.read(wanted) if not entity.table_entry.is_default_action]

    def table_id(self, name: str) -> int:
        table = self.index.tables.get(name)
        if table is None:
            there = ", ".join(sorted(item.preamble.alias for item in self.index.tables))
            raise UserError(f"the pipeline has no table {name!r}; it has: {there}")
        return table.preamble.id

    def decode(self, wire: WireEntity) -> Entity:
        try:
            return self.codec.decode(wire.message)
        except PipelineMismatchError as error:
            raise UserError(str(error)) from None


async def _next(responses: AsyncGenerator[bytes, None]) -> bytes | None:
    return await anext(responses, None)


def container(entity: Entity) -> str:
    """The table or action profile of an entity."""
    return entity.action_profile if isinstance(entity, ActionProfileMember | ActionProfileGroup) else entity.table
