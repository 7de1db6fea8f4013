"""Makes the switch hold what the ledger says: difference, capacity, writing, and what to do with each refusal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from controlplane.desired.entities import ActionProfileGroup, Entity, EntityKey, GroupReference, TableEntry, describe
from controlplane.desired.inputs import Problem
from controlplane.desired.ledger import Change, Ledger
from controlplane.p4rt.allocate import Allocator, Slot, SpaceFullError
from controlplane.p4rt.codec import Codec, PipelineMismatchError, WireEntity, group_key, member_key
from controlplane.p4rt.failures import Failures
from controlplane.p4rt.recover import Recovered, Wanted, recover
from controlplane.p4rt.replacing import Replacing
from controlplane.p4rt.revalidation import policy_containers
from controlplane.p4rt.sequence import Order, Update, UpdateType, sequence
from controlplane.p4rt.session import Refusal, Session
from p4base.lookup import P4InfoIndex
from p4base.messages import p4r

log = logging.getLogger(__name__)

_RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
_SLICE = 500


class Written(msgspec.Struct):
    """What one synchronization did, in updates."""

    inserted: int = 0
    modified: int = 0
    deleted: int = 0
    refused: int = 0
    batches: int = 0
    policies: int = 0
    """Updates of what the verdict of policy depends on."""

    @property
    def total(self) -> int:
        return self.inserted + self.modified + self.deleted

    def __str__(self) -> str:
        text = f"{self.inserted} inserted, {self.modified} modified, {self.deleted} deleted"
        return text + (f", {self.refused} refused" if self.refused else "")


class Synchronizer:
    """What is installed, what could not be, and how to get from there to what is wanted."""

    def __init__(self, index: P4InfoIndex, ledger: Ledger, batch_size: int, can_modify: bool = True) -> None:
        self.codec = Codec(index, Allocator())
        self._index = index
        self._ledger = ledger
        self._order = Order(index)
        self._batch_size = batch_size
        self.on_progress: Callable[[str, int, int], None] = lambda what, done, total: None
        """Told how far a synchronization is: what is being done, how much of it, of how much."""

        self._replacing = None if can_modify else Replacing(index)
        self._installed: dict[bytes, bytes] = {}
        self._counts: dict[int, int] = {}
        self._capacity = _capacities(index)
        self._policy_containers = policy_containers(index)
        self._failures = Failures(ledger.source, self._describe_stale)
        self._retained = False

    # -- what people want to know

    @property
    def allocator(self) -> Allocator:
        return self.codec.allocator

    @property
    def installed(self) -> int:
        """How many entities the switch holds."""
        return len(self._installed)

    @property
    def has_failures(self) -> bool:
        return bool(len(self._failures))

    def occupancy(self) -> list[tuple[str, int, int]]:
        """Name, entries and capacity of every table and action profile (its members) that holds something."""
        return sorted(
            (self._name(container), count, self._capacity.get(container, 0))
            for container, count in self._counts.items()
        )

    @property
    def problems(self) -> frozenset[Problem]:
        """What is wanted and not installed, by the object that wants it; the same set as long as nothing has changed."""
        return self._failures.problems

    def _describe_stale(self, found: WireEntity) -> str:
        return f"cannot be deleted from the switch: {describe(self.codec.decode(found.message))}"

    def _name(self, container: int) -> str:
        item = self._index.tables.get(container) or self._index.action_profiles.get(container)
        return item.preamble.alias if item is not None else str(container)

    # -- whole

    async def synchronize_all(self, session: Session) -> Written:
        """Read back, recover the numbers, and write whatever differs."""
        self._failures.clear()
        self.allocator.forget_reserved()  # what is in the switch is about to be seen
        self.allocator.begin()
        wanted: dict[bytes, Wanted] = {}
        await _paced(self._encode_all(wanted))
        installed, others = await self._read_back(session, wanted)
        recovered = Recovered()
        if others:
            await _paced(recover(list(wanted.values()), installed, others, self.codec, recovered))
            if recovered.is_renumbered:
                wanted.clear()
                self._failures.clear()
                await _paced(self._encode_all(wanted))
        self.allocator.end()
        self._installed = {key: found.body for key, found in installed.items()}
        self._counts = {}
        for found in installed.values():
            self._count(found, +1)
        if self._replacing is not None:
            self._replacing.start(installed.values())
        updates: list[Update] = []
        unwanted = dict(installed if recovered.is_renumbered else others)
        for item in wanted.values():
            unwanted.pop(item.wire.key, None)
            self._compare(item.wire, item.entity, updates)
        updates += [Update(UpdateType.DELETE, found, None) for found in unwanted.values()]
        del wanted, installed, others, unwanted
        written = await self._write(updates, session)
        if not self.has_failures:
            self.allocator.forget_reserved()
        return written

    def _encode_all(self, wanted: dict[bytes, Wanted]) -> Iterator[None]:
        """Encode the whole ledger into `wanted`, by body, and count anew what symbols it uses."""
        self.allocator.forget_uses()
        slots: list[Slot] = []
        for entity in self._ledger:
            slots.clear()
            encoded = self._encode(entity, slots)
            if encoded is not None:
                wanted[encoded.body] = Wanted(encoded, entity)
                for slot in slots:
                    self.allocator.retain(slot)
            else:
                self._retain(entity, +1)
            yield
        self.allocator.drop_unused()

    async def _read_back(
        self, session: Session, wanted: Mapping[bytes, Wanted]
    ) -> tuple[dict[bytes, WireEntity], dict[bytes, WireEntity]]:
        """Everything in the switch that is the controller's business, by key; and of it, what is not wanted to the byte.

        A message is made only of what differs.
        """
        installed: dict[bytes, WireEntity] = {}
        others: dict[bytes, WireEntity] = {}
        number = 0
        async for data in session.read_all():
            item = wanted.get(data)
            found: WireEntity | None
            if item is not None:
                found = item.wire
            else:
                found = self.codec.canonical(p4r.Entity.FromString(data))
                if found is None:
                    continue
                item = wanted.get(found.body)
                if item is not None:
                    found = item.wire
                else:
                    others[found.key] = found
            installed[found.key] = found
            number += 1
            if number % _SLICE == 0:
                await asyncio.sleep(0)
        return installed, others

    # -- by change

    async def synchronize(self, changes: Iterable[Change], session: Session, retry: bool = False) -> Written:
        """Write what `changes` ask for, and, if `retry`, what failed before."""
        updates: list[Update] = []
        await _paced(self._plan(changes, updates))
        if retry:
            planned = {update.wire.key for update in updates}
            self._plan_again(self._failures.keys(), updates, planned)
            for container, _ in self._failures.crowded():
                self._plan_again(self._failures.first_crowded(container, self._room(container)), updates, planned)
            updates += [
                Update(UpdateType.DELETE, wire, None) for wire in self._failures.stale if wire.key not in planned
            ]
        for update in updates:
            self._failures.discard_stale(update.wire.key)
        return await self._write(updates, session)

    def _plan(self, changes: Iterable[Change], updates: list[Update]) -> Iterator[None]:
        for change in changes:
            self._count_uses(change)
            self._failures.discard((change.new or change.old).key)  # type: ignore[union-attr]
            if change.new is None:
                if change.old is not None:
                    self._remove(change.old, updates)
            else:
                wanted = self._encode(change.new)
                if wanted is not None:
                    self._compare(wanted, change.new, updates)
            yield

    def _plan_again(self, keys: Iterable[EntityKey], updates: list[Update], planned: set[bytes]) -> None:
        """Compare what failed before, but for what is `planned` already."""
        for key in keys:
            entity = self._ledger.get(key)
            wanted = self._encode(entity) if entity is not None else None
            if wanted is not None and wanted.key not in planned:
                planned.add(wanted.key)
                self._compare(wanted, entity, updates)

    def _room(self, container: int) -> int:
        """How many more entries fit, by the size in the P4Info; of no size in it, a batch."""
        capacity = self._capacity.get(container)
        return self._batch_size if capacity is None else max(0, capacity - self._counts.get(container, 0))

    def _encode(self, entity: Entity, slots: list[Slot] | None = None) -> WireEntity | None:
        try:
            return self.codec.encode(entity, slots)
        except (PipelineMismatchError, SpaceFullError) as error:
            self._failures.add(entity, f"cannot be programmed: {error}")
            return None

    def _compare(self, wanted: WireEntity, entity: Entity | None, updates: list[Update]) -> None:
        body = self._installed.get(wanted.key)
        if body is None:
            updates.append(Update(UpdateType.INSERT, wanted, entity))
        elif body != wanted.body:
            updates.append(Update(UpdateType.MODIFY, wanted, entity))
        elif entity is not None:
            self._failures.discard(entity.key)

    def _remove(self, entity: Entity, updates: list[Update]) -> None:
        try:
            wire = self.codec.encode(entity)
        except (PipelineMismatchError, SpaceFullError):
            return  # it never got in
        if wire.key in self._installed:
            updates.append(Update(UpdateType.DELETE, wire, None))

    # -- uses of numbers

    def _count_uses(self, change: Change) -> None:
        if change.new is not None:
            self._retain(change.new, +1)
        if change.old is not None:
            self._retain(change.old, -1)

    def _retain(self, entity: Entity, sign: int) -> None:
        try:
            for slot in self.codec.slots(entity):
                if sign > 0:
                    self.allocator.retain(slot)
                else:
                    self.allocator.release(slot)
        except PipelineMismatchError:
            return  # reported when it is encoded

    # -- writing

    async def _write(self, updates: list[Update], session: Session) -> Written:
        written = Written()
        before = {container: self._counts.get(container, 0) for container, _ in self._failures.crowded()}
        await self._write_pass(updates, session, written)
        again: list[Update] = []
        planned: set[bytes] = set()
        for container, count in self._failures.crowded():  # the deletions may have made room
            freed = before.get(container, 0) - self._counts.get(container, 0)
            room = max(freed, min(count, self._room(container))) if written.deleted else 0
            self._plan_again(self._failures.first_crowded(container, room), again, planned)
        await self._write_pass(again, session, written)
        if not self._failures.stale:
            self.allocator.sweep()
        written.refused = len(self._failures)
        return written

    async def _write_pass(self, updates: list[Update], session: Session, written: Written) -> None:
        if self._replacing is not None:
            removals, updates = self._replacing.plan(updates)
            await self._write_batches(removals, session, written)
        await self._write_batches(updates, session, written)

    async def _write_batches(self, updates: list[Update], session: Session, written: Written) -> None:
        done = 0
        for batch in sequence(updates, self._order, self._batch_size):
            self.on_progress("writing", done, len(updates))
            done += len(batch)
            admitted = [update for update in batch if self._admit(update)]
            if not admitted:
                continue
            refusals = await session.write([(update.type, update.wire.body) for update in admitted])
            written.batches += 1
            written.policies += sum(update.wire.container in self._policy_containers for update in admitted)
            again: list[Update] = []
            for update, refusal in zip(admitted, refusals, strict=True):
                other = self._settle(update, refusal, written)
                if other is not None:
                    again.append(other)
            if again:  # the switch had it, or had it not, against what was read back
                refusals = await session.write([(update.type, update.wire.body) for update in again])
                written.batches += 1
                for update, refusal in zip(again, refusals, strict=True):
                    self._settle(update, refusal, written, final=True)

    def _admit(self, update: Update) -> bool:
        """Whether the update can be sent: it fits, and what it refers to is there."""
        if update.type is UpdateType.DELETE:
            return True
        container = update.wire.container
        if update.type is UpdateType.INSERT and not update.wire.key.startswith(b"G"):
            capacity = self._capacity.get(container)
            count = self._counts.get(container, 0)
            if capacity is not None and count >= capacity:
                self._fail(update, f"does not fit: {self._name(container)} holds its {capacity} entries already", True)
                return False
            self._count(update.wire, +1)  # taken back if it is refused
        missing = self._missing_reference(update)
        if missing:
            self._fail(update, missing)
            if update.type is UpdateType.INSERT:
                self._count(update.wire, -1)
            return False
        return True

    def _missing_reference(self, update: Update) -> str:
        if update.entity is not None and not _refers(update.entity):
            return ""  # nearly always; kept cheap
        message = update.wire.message
        match message.WhichOneof("entity"):
            case "action_profile_group":
                group = message.action_profile_group
                limit = self._index.action_profiles[group.action_profile_id].max_group_size
                if limit and sum(member.weight for member in group.members) > limit:
                    return f"does not fit: {len(group.members)} endpoints, and a group holds {limit}"
                for member in group.members:
                    if member_key(group.action_profile_id, member.member_id) not in self._installed:
                        return "waits for an endpoint that could not be programmed"
            case "table_entry" if message.table_entry.action.WhichOneof("type") == "action_profile_group_id":
                entry = message.table_entry
                profile_id = self._index.tables[entry.table_id].implementation_id
                if group_key(profile_id, entry.action.action_profile_group_id) not in self._installed:
                    return "waits for a group of endpoints that could not be programmed"
        return ""

    def _settle(self, update: Update, refusal: Refusal | None, written: Written, final: bool = False) -> Update | None:
        """Book one answer; what to write instead, if that is the way out."""
        code = None if refusal is None else refusal.code
        wire = update.wire
        if update.type is UpdateType.DELETE:
            if refusal is None or code == "NOT_FOUND":
                if self._installed.pop(wire.key, None) is not None:
                    self._count(wire, -1)
                if self._replacing is not None:
                    self._replacing.note_deleted(wire)
                written.deleted += 1
            else:
                self._failures.add_stale(wire)
                log.warning("the switch does not delete an entry: %s: %s", code, refusal.message)
            return None
        if refusal is None:
            self._installed[wire.key] = wire.body
            if self._replacing is not None:
                self._replacing.note_installed(update)
            if update.entity is not None:
                self._failures.discard(update.entity.key)
            if update.type is UpdateType.INSERT:
                written.inserted += 1
            else:
                written.modified += 1
            return None
        if update.type is UpdateType.INSERT and code == "ALREADY_EXISTS" and not final and self._replacing is None:
            return Update(UpdateType.MODIFY, wire, update.entity)
        if update.type is UpdateType.MODIFY and code == "NOT_FOUND" and not final:
            self._installed.pop(wire.key, None)
            return Update(UpdateType.INSERT, wire, update.entity)
        if update.type is UpdateType.INSERT:
            self._count(wire, -1)
        if code == _RESOURCE_EXHAUSTED:
            self._fail(update, f"does not fit: {refusal.message or self._name(wire.container) + ' is full'}", True)
        else:
            self._fail(update, f"the switch refuses it: {code}: {refusal.message}")
        return None

    def _fail(self, update: Update, reason: str, is_crowded: bool = False) -> None:
        if update.entity is not None:
            where = update.wire.container if is_crowded else None
            self._failures.add(update.entity, f"{describe(update.entity)}: {reason}", where)

    def _count(self, wire: WireEntity, sign: int) -> None:
        """Members and entries count towards their container's size; groups have none of their own."""
        if not wire.key.startswith(b"G"):
            self._counts[wire.container] = self._counts.get(wire.container, 0) + sign


def _refers(entity: Entity) -> bool:
    """Whether it names a member or a group."""
    return isinstance(entity, ActionProfileGroup) or (
        isinstance(entity, TableEntry) and isinstance(entity.action, GroupReference)
    )


async def _paced(work: Iterator[None]) -> None:
    """Do the work, and let the event loop have its turn between slices of some milliseconds."""
    for number, _ in enumerate(work):
        if number % _SLICE == _SLICE - 1:
            await asyncio.sleep(0)


def _capacities(index: P4InfoIndex) -> dict[int, int]:
    found = {table.preamble.id: table.size for table in index.tables if table.size > 0}
    found |= {profile.preamble.id: profile.size for profile in index.action_profiles if profile.size > 0}
    return found
