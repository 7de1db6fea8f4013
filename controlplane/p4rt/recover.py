"""After a restart: which numbers the entries already in the switch were given.

What the derivation wants has been encoded with the numbers that its symbols have or would be given first. Whatever of that the switch
holds to the byte needs no second look; usually that is everything. If something differs, what is wanted and what the
switch holds are laid side by side here. An entry whose key is plain addresses and ports is found again, and tells the number in
its action; with that number the key of the next entry is known, and so on: frontend → service id → endpoint entry → group id.
A number counts only if it is one its symbol could have been given (`allocate`); anything else is left to be replaced, under new
numbers, so that no entry changes its meaning on the way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from controlplane.desired.entities import ActionCall, ActionProfileMember, Entity, TableEntry
from controlplane.p4rt.allocate import Allocator, Slot, group_space, member_space
from controlplane.p4rt.codec import Codec, PipelineMismatchError, WireEntity
from p4base import bytestring
from p4base.messages import p4r


class Wanted(msgspec.Struct, frozen=True, gc=False):
    """An entity of the ledger, encoded with the numbers of the moment."""

    wire: WireEntity
    entity: Entity


class Recovered(msgspec.Struct):
    """Filled in by `recover`: whether some symbol has another number than what is wanted was encoded with."""

    is_renumbered: bool = False


def recover(
    wanted: Sequence[Wanted],
    installed: Mapping[bytes, WireEntity],
    others: Mapping[bytes, WireEntity],
    codec: Codec,
    result: Recovered,
) -> Iterator[None]:
    """Give the codec a new allocator, with the numbers that the switch has already; every other number in it is kept out of use.

    To be run to its end; it yields now and then, so that a caller on an event loop can look after other things.

    Args:
        wanted: everything, encoded with the numbers of `codec.allocator`.
        installed: everything in the switch, by key.
        others: of it, what is not wanted to the byte.
    """
    before, codec.allocator = codec.allocator, Allocator()
    codec.allocator.take_uses(before)
    yield from _adopt_entries(wanted, installed, codec, before)
    yield from _adopt_members(wanted, installed, others, codec, before)
    yield from _reserve(others, codec)
    for (
        space,
        symbol,
        number,
    ) in before:  # what the switch does not tell keeps its number, unless that may be another's there
        if codec.allocator.peek(space, symbol) is None and (
            codec.allocator.is_free(space, number) or not before.is_new(space, symbol)
        ):
            codec.allocator.keep(space, symbol, number)
        result.is_renumbered |= codec.allocator.peek(space, symbol) != number
        yield


def _is_there(item: Wanted, installed: Mapping[bytes, WireEntity]) -> bool:
    found = installed.get(item.wire.key)
    return found is not None and found.body == item.wire.body


def _keep(slots: Iterator[Slot], codec: Codec, before: Allocator) -> None:
    """What was encoded with these numbers is there to the byte."""
    for space, symbol in slots:
        number = before.peek(space, symbol)
        if number is not None:
            codec.allocator.keep(space, symbol, number)


def _adopt_entries(
    wanted: Sequence[Wanted], installed: Mapping[bytes, WireEntity], codec: Codec, before: Allocator
) -> Iterator[None]:
    pending: list[tuple[Wanted, TableEntry]] = []
    for item in wanted:
        if isinstance(item.entity, TableEntry) and any(True for _ in codec.action_slots(item.entity)):
            pending.append((item, item.entity))
        yield
    while True:
        waiting: list[tuple[Wanted, TableEntry]] = []
        for item, entry in pending:
            yield
            if not codec.key_is_known(entry):
                waiting.append((item, entry))
                continue
            found = installed.get(codec.encode_key(entry))
            if found is None:
                continue
            if found.body == item.wire.body:
                _keep(codec.action_slots(entry), codec, before)
            else:
                with contextlib.suppress(PipelineMismatchError):
                    _adopt_entry(entry, found.message.table_entry.action, codec)
        if len(waiting) in (0, len(pending)):
            return
        pending = waiting


def _adopt_entry(entry: TableEntry, action: p4r.TableAction, codec: Codec) -> None:
    if isinstance(entry.action, ActionCall):
        if action.WhichOneof("type") == "action":
            values = {param.param_id: param.value for param in action.action.params}
            for action_id, param_id, (space, symbol) in codec.param_slots(entry.action):
                if action_id == action.action.action_id and param_id in values:
                    codec.allocator.adopt(space, symbol, int.from_bytes(values[param_id], "big"))
    elif not isinstance(entry.action.group, int) and action.WhichOneof("type") == "action_profile_group_id":
        profile_id = codec.index.tables[entry.table].implementation_id
        space = group_space(codec.index.action_profiles[profile_id].preamble.alias)
        codec.allocator.adopt(space, entry.action.group, action.action_profile_group_id)


_Plain = tuple[int, int, tuple[tuple[int, bytes], ...]]


def _adopt_members(
    wanted: Sequence[Wanted],
    installed: Mapping[bytes, WireEntity],
    others: Mapping[bytes, WireEntity],
    codec: Codec,
    before: Allocator,
) -> Iterator[None]:
    """A member is found again by its plain parameters; among equals, by which number could be its own."""
    missing: list[ActionProfileMember] = []
    for item in wanted:
        yield
        if isinstance(item.entity, ActionProfileMember) and not isinstance(item.entity.member, int):
            if _is_there(item, installed):
                _keep(codec.slots(item.entity), codec, before)
            else:
                missing.append(item.entity)
    hidden: dict[int, set[int]] = {}  # parameters that hold symbols, by action
    for member in missing:
        for action_id, param_id, _ in codec.param_slots(member.action):
            hidden.setdefault(action_id, set()).add(param_id)
    candidates: dict[_Plain, list[p4r.ActionProfileMember]] = {}
    for found in others.values() if missing else ():
        if found.key.startswith(b"M"):
            message = found.message.action_profile_member
            skipped = hidden.get(message.action.action_id, set())
            plain = tuple((item.param_id, item.value) for item in message.action.params if item.param_id not in skipped)
            candidates.setdefault((found.container, message.action.action_id, plain), []).append(message)
        yield
    for member in missing if candidates else ():
        profile_id = codec.index.action_profiles[member.action_profile].preamble.id
        action_info = codec.index.actions[member.action.action]
        ids = {item.name: item.id for item in action_info.params}
        plain = tuple(
            sorted(
                (ids.get(param.name, 0), bytestring.encode(param.value))
                for param in member.action.params
                if isinstance(param.value, int)
            )
        )
        slots = {param_id: slot for _, param_id, slot in codec.param_slots(member.action)}
        for message in candidates.get((profile_id, action_info.preamble.id, plain), ()):
            _adopt_member(member, message, slots, codec)
        yield


def _adopt_member(
    member: ActionProfileMember, message: p4r.ActionProfileMember, slots: dict[int, Slot], codec: Codec
) -> None:
    space = member_space(member.action_profile)
    if isinstance(member.member, int) or not codec.allocator.adopt(space, member.member, message.member_id):
        return
    values = {param.param_id: int.from_bytes(param.value, "big") for param in message.action.params}
    for param_id, (inner, symbol) in slots.items():
        if param_id in values:
            codec.allocator.adopt(inner, symbol, values[param_id])


def _reserve(others: Mapping[bytes, WireEntity], codec: Codec) -> Iterator[None]:
    """Keep the numbers out of use that are in what is not wanted.

    What is equal to the byte may be another's too, with whom a symbol shares its first choice. Then the entry that gives the other one its
    number is either wanted, and adopted, or it is not, and here.
    """
    for found in others.values():
        for space, number in codec.numbers(found.message):
            codec.allocator.reserve(space, number)
        yield
