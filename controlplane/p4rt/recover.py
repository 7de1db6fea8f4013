"""After a restart: which numbers the entries already in the switch were given.

What the derivation wants and what the switch holds are laid side by side. An entry whose key is plain addresses and ports is found
again, and tells the number in its action; with that number the key of the next entry is known, and so on: frontend → service id →
endpoint entry → group id. A number counts only if it is one its symbol could have been given (`allocate`); anything else is
left to be replaced, under new numbers, so that no entry changes its meaning on the way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping

from controlplane.desired.entities import ActionCall, ActionProfileMember, Entity, TableEntry
from controlplane.p4rt.allocate import Allocator, Slot, Space, group_space, member_space
from controlplane.p4rt.codec import Codec, PipelineMismatchError, WireEntity
from p4base import bytestring


def recover(desired: Iterable[Entity], installed: Mapping[bytes, WireEntity], codec: Codec) -> Iterator[None]:
    """Give the allocator the numbers that the switch has already; every other number found there is kept out of use.

    To be run to its end; it yields now and then, so that a caller on an event loop can look after other things. What does
    not fit the P4Info is passed over here and reported when it is encoded.
    """
    codec.allocator.clear()
    symbolic: list[TableEntry] = []
    members: list[ActionProfileMember] = []
    carriers: dict[tuple[str, int, int], set[Space]] = {}
    for entity in desired:
        yield
        try:
            slots = list(codec.slots(entity))
            _note_carriers(entity, codec, carriers)
        except PipelineMismatchError:
            continue
        if isinstance(entity, TableEntry) and slots:
            symbolic.append(entity)
        elif isinstance(entity, ActionProfileMember):
            members.append(entity)
    while True:
        waiting: list[TableEntry] = []
        for entry in symbolic:
            if not codec.key_is_known(entry):
                waiting.append(entry)
                continue
            with contextlib.suppress(PipelineMismatchError):
                found = installed.get(codec.encode_key(entry))
                if found is not None:
                    _adopt_entry(entry, found, codec)
            yield
        if len(waiting) in (0, len(symbolic)):
            break
        symbolic = waiting
    yield from _adopt_members(members, installed, codec)
    yield from _reserve(installed, carriers, codec, codec.allocator)


def _adopt_entry(entry: TableEntry, found: WireEntity, codec: Codec) -> None:
    action = found.message.table_entry.action
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
    members: list[ActionProfileMember], installed: Mapping[bytes, WireEntity], codec: Codec
) -> Iterator[None]:
    """A member is found again by its plain parameters; among equals, by which number could be its own."""
    hidden: dict[int, set[int]] = {}  # parameters that hold symbols, by action
    for member in members:
        for action_id, param_id, _ in codec.param_slots(member.action):
            hidden.setdefault(action_id, set()).add(param_id)
    candidates: dict[_Plain, list[WireEntity]] = {}
    for found in installed.values():
        if found.message.WhichOneof("entity") == "action_profile_member":
            action = found.message.action_profile_member.action
            skipped = hidden.get(action.action_id, set())
            plain = tuple((item.param_id, item.value) for item in action.params if item.param_id not in skipped)
            candidates.setdefault((found.container, action.action_id, plain), []).append(found)
    if not candidates:
        return
    for member in members:
        if isinstance(member.member, int):
            continue
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
        for found in candidates.get((profile_id, action_info.preamble.id, plain), ()):
            _adopt_member(member, found, slots, codec)
        yield


def _adopt_member(member: ActionProfileMember, found: WireEntity, slots: dict[int, Slot], codec: Codec) -> None:
    message = found.message.action_profile_member
    space = member_space(member.action_profile)
    if isinstance(member.member, int) or not codec.allocator.adopt(space, member.member, message.member_id):
        return
    values = {param.param_id: int.from_bytes(param.value, "big") for param in message.action.params}
    for param_id, (inner, symbol) in slots.items():
        if param_id in values:
            codec.allocator.adopt(inner, symbol, values[param_id])


def _note_carriers(entity: Entity, codec: Codec, carriers: dict[tuple[str, int, int], set[Space]]) -> None:
    """Which fields and parameters hold which kind of number."""
    if isinstance(entity, TableEntry):
        for owner, item, (space, _) in codec.match_slots(entity):
            carriers.setdefault(("match", owner, item), set()).add(space)
        if isinstance(entity.action, ActionCall):
            for owner, item, (space, _) in codec.param_slots(entity.action):
                carriers.setdefault(("param", owner, item), set()).add(space)
    elif isinstance(entity, ActionProfileMember):
        for owner, item, (space, _) in codec.param_slots(entity.action):
            carriers.setdefault(("param", owner, item), set()).add(space)


def _reserve(
    installed: Mapping[bytes, WireEntity],
    carriers: Mapping[tuple[str, int, int], set[Space]],
    codec: Codec,
    allocator: Allocator,
) -> Iterator[None]:
    for found in installed.values():
        yield
        message = found.message
        action = None
        match message.WhichOneof("entity"):
            case "table_entry":
                for match in message.table_entry.match:
                    for space in carriers.get(("match", found.container, match.field_id), ()):
                        allocator.reserve(space, int.from_bytes(match.exact.value or match.ternary.value, "big"))
                action = message.table_entry.action.action
            case "action_profile_member":
                alias = codec.index.action_profiles[found.container].preamble.alias
                allocator.reserve(member_space(alias), message.action_profile_member.member_id)
                action = message.action_profile_member.action
            case "action_profile_group":
                alias = codec.index.action_profiles[found.container].preamble.alias
                allocator.reserve(group_space(alias), message.action_profile_group.group_id)
        if action is not None:
            for param in action.params:
                for space in carriers.get(("param", action.action_id, param.param_id), ()):
                    allocator.reserve(space, int.from_bytes(param.value, "big"))
