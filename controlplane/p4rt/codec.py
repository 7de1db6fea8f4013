"""Entities in names and symbols to and from P4Runtime messages in ids and bytes, by the P4Info."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from controlplane.desired.entities import (
    ActionCall,
    ActionProfileGroup,
    ActionProfileMember,
    Entity,
    Exact,
    FieldMatch,
    GroupMember,
    GroupReference,
    Lpm,
    Param,
    Range,
    TableAction,
    TableEntry,
    Ternary,
)
from controlplane.desired.symbols import Value
from controlplane.p4rt import wire
from controlplane.p4rt.allocate import Allocator, Slot, Space, group_space, member_space, value_space
from p4base import bytestring
from p4base.lookup import P4InfoIndex, UnknownNameError
from p4base.messages import p4i, p4r


class PipelineMismatchError(Exception):
    """The pipeline has not what the controller wants to write. `str()` names the table, action, field or parameter."""


class WireEntity(msgspec.Struct, frozen=True, gc=False):
    """An entity as it goes to the switch.

    Attributes:
        key: what makes it the same entity, as bytes; equal keys, same entity.
        body: the canonical message, serialized; equal bodies, nothing to write.
        container: the id of its table or action profile.
    """

    key: bytes
    body: bytes
    container: int

    @property
    def message(self) -> p4r.Entity:
        """The message itself, made anew."""
        return p4r.Entity.FromString(self.body)


_FIELD_ID = wire.tag(p4r.FieldMatch.DESCRIPTOR, "field_id", wire.VARINT)
_EXACT = wire.tag(p4r.FieldMatch.DESCRIPTOR, "exact", wire.DELIMITED)
_TERNARY = wire.tag(p4r.FieldMatch.DESCRIPTOR, "ternary", wire.DELIMITED)
_LPM = wire.tag(p4r.FieldMatch.DESCRIPTOR, "lpm", wire.DELIMITED)
_RANGE = wire.tag(p4r.FieldMatch.DESCRIPTOR, "range", wire.DELIMITED)
_EXACT_VALUE = wire.tag(p4r.FieldMatch.Exact.DESCRIPTOR, "value", wire.DELIMITED)
_TERNARY_VALUE = wire.tag(p4r.FieldMatch.Ternary.DESCRIPTOR, "value", wire.DELIMITED)
_TERNARY_MASK = wire.tag(p4r.FieldMatch.Ternary.DESCRIPTOR, "mask", wire.DELIMITED)
_LPM_VALUE = wire.tag(p4r.FieldMatch.LPM.DESCRIPTOR, "value", wire.DELIMITED)
_LPM_LENGTH = wire.tag(p4r.FieldMatch.LPM.DESCRIPTOR, "prefix_len", wire.VARINT)
_RANGE_LOW = wire.tag(p4r.FieldMatch.Range.DESCRIPTOR, "low", wire.DELIMITED)
_RANGE_HIGH = wire.tag(p4r.FieldMatch.Range.DESCRIPTOR, "high", wire.DELIMITED)

_PARAM_ID = wire.tag(p4r.Action.Param.DESCRIPTOR, "param_id", wire.VARINT)
_PARAM_VALUE = wire.tag(p4r.Action.Param.DESCRIPTOR, "value", wire.DELIMITED)
_ACTION_ID = wire.tag(p4r.Action.DESCRIPTOR, "action_id", wire.VARINT)
_PARAMS = wire.tag(p4r.Action.DESCRIPTOR, "params", wire.DELIMITED)
_CALL = wire.tag(p4r.TableAction.DESCRIPTOR, "action", wire.DELIMITED)
_GROUP_REFERENCE = wire.tag(p4r.TableAction.DESCRIPTOR, "action_profile_group_id", wire.VARINT)

_TABLE_ENTRY = wire.tag(p4r.Entity.DESCRIPTOR, "table_entry", wire.DELIMITED)
_TABLE_ID = wire.tag(p4r.TableEntry.DESCRIPTOR, "table_id", wire.VARINT)
_MATCH = wire.tag(p4r.TableEntry.DESCRIPTOR, "match", wire.DELIMITED)
_ACTION = wire.tag(p4r.TableEntry.DESCRIPTOR, "action", wire.DELIMITED)
_PRIORITY = wire.tag(p4r.TableEntry.DESCRIPTOR, "priority", wire.VARINT)

_MEMBER = wire.tag(p4r.Entity.DESCRIPTOR, "action_profile_member", wire.DELIMITED)
_MEMBER_PROFILE = wire.tag(p4r.ActionProfileMember.DESCRIPTOR, "action_profile_id", wire.VARINT)
_MEMBER_ID = wire.tag(p4r.ActionProfileMember.DESCRIPTOR, "member_id", wire.VARINT)
_MEMBER_ACTION = wire.tag(p4r.ActionProfileMember.DESCRIPTOR, "action", wire.DELIMITED)

_GROUP = wire.tag(p4r.Entity.DESCRIPTOR, "action_profile_group", wire.DELIMITED)
_GROUP_PROFILE = wire.tag(p4r.ActionProfileGroup.DESCRIPTOR, "action_profile_id", wire.VARINT)
_GROUP_ID = wire.tag(p4r.ActionProfileGroup.DESCRIPTOR, "group_id", wire.VARINT)
_GROUP_MEMBERS = wire.tag(p4r.ActionProfileGroup.DESCRIPTOR, "members", wire.DELIMITED)
_ITEM_ID = wire.tag(p4r.ActionProfileGroup.Member.DESCRIPTOR, "member_id", wire.VARINT)
_ITEM_WEIGHT = wire.tag(p4r.ActionProfileGroup.Member.DESCRIPTOR, "weight", wire.VARINT)
_ITEM_WATCH = wire.tag(p4r.ActionProfileGroup.Member.DESCRIPTOR, "watch_port", wire.DELIMITED)


class _Field:
    """A match field or an action parameter."""

    __slots__ = ("bitwidth", "id", "mask", "match_head", "name", "param_head", "spaces")

    def __init__(self, id_: int, name: str, bitwidth: int) -> None:
        self.id = id_
        self.name = name
        self.bitwidth = bitwidth
        self.mask = (1 << bitwidth) - 1
        self.spaces: dict[Space, None] = {}  # that its symbols' numbers have come from so far
        self.match_head = _FIELD_ID + wire.varint(id_)
        self.param_head = _PARAM_ID + wire.varint(id_) + _PARAM_VALUE


class _Table:
    """What encoding needs of one table of the P4Info."""

    def __init__(self, table: p4i.Table, index: P4InfoIndex) -> None:
        self.id = table.preamble.id
        self.name = table.preamble.alias
        self.is_constant = table.is_const_table
        self.fields = {item.name: _Field(item.id, item.name, item.bitwidth) for item in table.match_fields}
        self.by_id = {field.id: field for field in self.fields.values()}
        self.actions = {ref.id for ref in table.action_refs}
        self.head = _TABLE_ID + wire.varint(self.id)
        profile = index.action_profiles.get(table.implementation_id) if table.implementation_id else None
        self.profile = None if profile is None else profile.preamble.alias


class _Action:
    def __init__(self, action: p4i.Action) -> None:
        self.id = action.preamble.id
        self.name = action.preamble.alias
        self.params = {item.name: _Field(item.id, item.name, item.bitwidth) for item in action.params}
        self.by_id = {field.id: field for field in self.params.values()}
        self.head = _ACTION_ID + wire.varint(self.id)


class Codec:
    """The two directions. Numbers for symbols come from the allocator."""

    def __init__(self, index: P4InfoIndex, allocator: Allocator) -> None:
        self.index = index
        self.allocator = allocator
        self._tables: dict[str | int, _Table] = {}
        self._actions: dict[str | int, _Action] = {}
        self._profiles: dict[str | int, p4i.ActionProfile] = {}

    # -- look-up

    def _table(self, key: str | int) -> _Table:
        table = self._tables.get(key)
        if table is None:
            try:
                found = self.index.tables[key]
            except UnknownNameError as error:
                raise PipelineMismatchError(str(error)) from None
            table = self._tables.get(found.preamble.id) or _Table(found, self.index)
            self._tables[key] = self._tables[table.id] = table  # one object, by whatever it is called
        return table

    def _action(self, key: str | int) -> _Action:
        action = self._actions.get(key)
        if action is None:
            try:
                found = self.index.actions[key]
            except UnknownNameError as error:
                raise PipelineMismatchError(str(error)) from None
            action = self._actions.get(found.preamble.id) or _Action(found)
            self._actions[key] = self._actions[action.id] = action
        return action

    def _profile(self, key: str | int) -> p4i.ActionProfile:
        profile = self._profiles.get(key)
        if profile is None:
            try:
                profile = self._profiles[key] = self.index.action_profiles[key]
            except UnknownNameError as error:
                raise PipelineMismatchError(str(error)) from None
        return profile

    def _field(self, table: _Table, name: str) -> _Field:
        field = table.fields.get(name)
        if field is None:
            raise PipelineMismatchError(f"table {table.name} has no match field {name!r} in the P4Info")
        return field

    def _param(self, action: _Action, name: str) -> _Field:
        field = action.params.get(name)
        if field is None:
            raise PipelineMismatchError(f"action {action.name} has no parameter {name!r} in the P4Info")
        return field

    # -- symbols

    def slots(self, entity: Entity) -> Iterator[Slot]:
        """Every symbol in the entity, with the space that its number comes from; repeated as it is."""
        match entity:
            case TableEntry(table=name, match=match):
                yield from self._match_slots(self._table(name), match)
                yield from self.action_slots(entity)
            case ActionProfileMember(action_profile=profile, member=member, action=call):
                if not isinstance(member, int):
                    yield member_space(profile), member
                yield from self._call_slots(call)
            case ActionProfileGroup(action_profile=profile, group=group, members=members):
                if not isinstance(group, int):
                    yield group_space(profile), group
                for item in members:
                    if not isinstance(item.member, int):
                        yield member_space(profile), item.member

    def _match_slots(self, table: _Table, match: tuple[FieldMatch, ...]) -> Iterator[Slot]:
        for field in match:
            if isinstance(field, Exact | Ternary) and not isinstance(field.value, int):
                yield value_space(field.value, self._field(table, field.field).bitwidth), field.value

    def _call_slots(self, call: ActionCall) -> Iterator[Slot]:
        for param in call.params:
            if not isinstance(param.value, int):
                yield value_space(param.value, self._param(self._action(call.action), param.name).bitwidth), param.value

    def key_is_known(self, entry: TableEntry) -> bool:
        """Whether every symbol in the entry's key has a number already."""
        slots = self._match_slots(self._table(entry.table), entry.match)
        return all(self.allocator.peek(space, symbol) is not None for space, symbol in slots)

    def param_slots(self, call: ActionCall) -> Iterator[tuple[int, int, Slot]]:
        """Action id, parameter id and slot of every symbol among the parameters."""
        action = self._action(call.action)
        for param in call.params:
            if not isinstance(param.value, int):
                field = self._param(action, param.name)
                yield action.id, field.id, (value_space(param.value, field.bitwidth), param.value)

    def action_slots(self, entry: TableEntry) -> Iterator[Slot]:
        """Every symbol in the entry's action."""
        if isinstance(entry.action, ActionCall):
            yield from self._call_slots(entry.action)
        elif not isinstance(entry.action.group, int):
            yield group_space(self._table(entry.table).profile or ""), entry.action.group

    def numbers(self, message: p4r.Entity) -> Iterator[tuple[Space, int]]:
        """Every number in a message that stands for a symbol, as far as fields that have held some tell, with its space."""
        action = None
        match message.WhichOneof("entity"):
            case "table_entry":
                table = self._table(message.table_entry.table_id)
                for match in message.table_entry.match:
                    for space in table.by_id[match.field_id].spaces if match.field_id in table.by_id else ():
                        yield space, int.from_bytes(match.exact.value or match.ternary.value, "big")
                action = message.table_entry.action.action
                if message.table_entry.action.WhichOneof("type") == "action_profile_group_id" and table.profile:
                    yield group_space(table.profile), message.table_entry.action.action_profile_group_id
            case "action_profile_member":
                alias = self._profile(message.action_profile_member.action_profile_id).preamble.alias
                yield member_space(alias), message.action_profile_member.member_id
                action = message.action_profile_member.action
            case "action_profile_group":
                alias = self._profile(message.action_profile_group.action_profile_id).preamble.alias
                yield group_space(alias), message.action_profile_group.group_id
                for member in message.action_profile_group.members:
                    yield member_space(alias), member.member_id
        if action is not None and action.action_id:
            params = self._action(action.action_id).by_id
            for param in action.params:
                for space in params[param.param_id].spaces if param.param_id in params else ():
                    yield space, int.from_bytes(param.value, "big")

    # -- encoding

    def encode(self, entity: Entity, slots: list[Slot] | None = None) -> WireEntity:
        """The entity as a message; symbols without a number get one. Its symbols are added to `slots`, repeated as they are.

        Raises:
            PipelineMismatchError: the P4Info has no such table, field, action or parameter, or a value does not fit.
            SpaceFullError: there is no number left for a symbol.
        """
        match entity:
            case TableEntry():
                table = self._table(entity.table)
                head = self._encode_match(table, entity, slots)
                priority = _PRIORITY + wire.varint(entity.priority) if entity.priority else b""
                action = wire.delimited(_ACTION, self._encode_table_action(table, entity.action, slots))
                body = wire.delimited(_TABLE_ENTRY, head + action + priority)
                return WireEntity(b"T" + head + priority, body, table.id)
            case ActionProfileMember(action_profile=name, member=member, action=call):
                container = self._profile(name).preamble.id
                number = self._number(member_space(name), member, slots)
                head = _MEMBER_PROFILE + wire.varint(container) + (_MEMBER_ID + wire.varint(number) if number else b"")
                action = wire.delimited(_MEMBER_ACTION, self._encode_call(self._action(call.action), call, slots))
                return WireEntity(member_key(container, number), wire.delimited(_MEMBER, head + action), container)
            case ActionProfileGroup(action_profile=name, group=group, members=members):
                container = self._profile(name).preamble.id
                number = self._number(group_space(name), group, slots)
                head = _GROUP_PROFILE + wire.varint(container) + (_GROUP_ID + wire.varint(number) if number else b"")
                space = member_space(name)
                numbered = sorted(
                    (
                        self._number(space, item.member, slots),
                        item.weight,
                        b"" if item.watch_port is None else bytestring.encode(item.watch_port),
                    )
                    for item in members
                )
                parts = b"".join(
                    wire.delimited(
                        _GROUP_MEMBERS,
                        (_ITEM_ID + wire.varint(member_id) if member_id else b"")
                        + (_ITEM_WEIGHT + wire.varint(weight))
                        + (wire.delimited(_ITEM_WATCH, watched) if watched else b""),
                    )
                    for member_id, weight, watched in numbered
                )
                return WireEntity(group_key(container, number), wire.delimited(_GROUP, head + parts), container)

    def peek(self, entity: Entity) -> WireEntity | None:
        """`encode`, but that no numbers are given out: None for what has none yet, or does not fit the P4Info."""
        try:
            if any(self.allocator.peek(*slot) is None for slot in self.slots(entity)):
                return None
            return self.encode(entity)
        except PipelineMismatchError:
            return None

    def encode_key(self, entity: Entity) -> bytes:
        """The `WireEntity.key` of an entity."""
        match entity:
            case TableEntry():
                head = self._encode_match(self._table(entity.table), entity, None)
                return b"T" + head + (_PRIORITY + wire.varint(entity.priority) if entity.priority else b"")
            case ActionProfileMember(action_profile=name, member=member):
                return member_key(self._profile(name).preamble.id, self._number(member_space(name), member, None))
            case ActionProfileGroup(action_profile=name, group=group):
                return group_key(self._profile(name).preamble.id, self._number(group_space(name), group, None))

    def _number(self, space: Space, value: Value, slots: list[Slot] | None) -> int:
        if isinstance(value, int):
            return value
        if slots is not None:
            slots.append((space, value))
        return self.allocator.number(space, value)

    def _value(self, field: _Field, value: Value, owner: str, slots: list[Slot] | None) -> int:
        if not isinstance(value, int):
            space = value_space(value, field.bitwidth)
            field.spaces[space] = None
            return self._number(space, value, slots)
        if not 0 <= value <= field.mask:
            raise PipelineMismatchError(f"{owner}.{field.name}: {value:#x} does not fit in {field.bitwidth} bits")
        return value

    def _encode_match(self, table: _Table, entry: TableEntry, slots: list[Slot] | None) -> bytes:
        """The table's id and the match fields: a TableEntry as far as its action."""
        found: list[tuple[int, bytes]] = []
        for match in entry.match:
            field = self._field(table, match.field)
            match match:
                case Exact(value=value):
                    data = bytestring.encode(self._value(field, value, table.name, slots))
                    part = wire.nested(_EXACT, _EXACT_VALUE, data)
                case Lpm(value=value, prefix_length=length):
                    if not length:
                        continue  # a prefix of no bits is said by leaving it out
                    data = bytestring.encode(self._value(field, value, table.name, slots))
                    length_part = _LPM_LENGTH + wire.varint(length)
                    part = wire.delimited(_LPM, wire.delimited(_LPM_VALUE, data) + length_part)
                case Ternary(value=value, mask=mask):
                    whole = mask is None or not isinstance(value, int)
                    bits = field.mask if whole or mask is None else mask & field.mask
                    if not bits:
                        continue
                    data = bytestring.encode(self._value(field, value, table.name, slots) & bits)
                    mask_part = wire.delimited(_TERNARY_MASK, bytestring.encode(bits))
                    part = wire.delimited(_TERNARY, wire.delimited(_TERNARY_VALUE, data) + mask_part)
                case Range(low=low, high=high):
                    if (low, high) == (0, field.mask):
                        continue
                    low_part = bytestring.encode(self._value(field, low, table.name, slots))
                    high_part = bytestring.encode(self._value(field, high, table.name, slots))
                    ends = wire.delimited(_RANGE_LOW, low_part) + wire.delimited(_RANGE_HIGH, high_part)
                    part = wire.delimited(_RANGE, ends)
            found.append((field.id, wire.delimited(_MATCH, field.match_head + part)))
        found.sort()
        return table.head + b"".join([part for _, part in found])

    def _encode_table_action(self, table: _Table, action: TableAction, slots: list[Slot] | None) -> bytes:
        """A TableAction."""
        if isinstance(action, GroupReference):
            if table.profile is None:
                raise PipelineMismatchError(f"table {table.name} has no action selector in the P4Info")
            return _GROUP_REFERENCE + wire.varint(self._number(group_space(table.profile), action.group, slots))
        found = self._action(action.action)
        if found.id not in table.actions:
            raise PipelineMismatchError(f"table {table.name} has no action {action.action} in the P4Info")
        return wire.delimited(_CALL, self._encode_call(found, action, slots))

    def _encode_call(self, action: _Action, call: ActionCall, slots: list[Slot] | None) -> bytes:
        """An Action."""
        if len(call.params) != len(action.params):
            wanted = ", ".join(action.params) or "none"
            raise PipelineMismatchError(f"action {action.name} takes the parameters {wanted} in the P4Info")
        found: list[tuple[int, bytes]] = []
        for param in call.params:
            field = self._param(action, param.name)
            data = bytestring.encode(self._value(field, param.value, action.name, slots))
            found.append((field.id, wire.nested(_PARAMS, field.param_head, data)))
        found.sort()
        return action.head + b"".join([part for _, part in found])

    # -- decoding

    def canonical(self, message: p4r.Entity) -> WireEntity | None:
        """A message read from the switch, in the form that `encode` gives; None for what is not the controller's.

        Not the controller's are default entries, constant ones and those of kinds that it does not write. Constant is what says so,
        and what is in a constant table: PI lists the program's own entries like any other.
        """
        clean = p4r.Entity()
        kind = message.WhichOneof("entity")
        if kind == "table_entry":
            source = message.table_entry
            if source.is_default_action or source.is_const:
                return None
            table = self._table(source.table_id)
            if table.is_constant:
                return None
            entry = clean.table_entry
            entry.table_id = source.table_id
            entry.priority = source.priority
            if source.metadata:
                entry.metadata = source.metadata
            if source.idle_timeout_ns:
                entry.idle_timeout_ns = source.idle_timeout_ns
            for match in sorted(source.match, key=lambda item: item.field_id):
                _copy_match(entry, match, table.by_id.get(match.field_id))
            key = entry_key(entry)
            if source.action.WhichOneof("type") == "action":
                _copy_action(entry.action.action, source.action.action)
            else:
                entry.action.CopyFrom(source.action)
            return WireEntity(key, clean.SerializeToString(deterministic=True), entry.table_id)
        if kind == "action_profile_member":
            member = message.action_profile_member
            clean.action_profile_member.action_profile_id = member.action_profile_id
            clean.action_profile_member.member_id = member.member_id
            _copy_action(clean.action_profile_member.action, member.action)
            key = member_key(member.action_profile_id, member.member_id)
            return WireEntity(key, clean.SerializeToString(deterministic=True), member.action_profile_id)
        if kind == "action_profile_group":
            group = message.action_profile_group
            clean.action_profile_group.action_profile_id = group.action_profile_id
            clean.action_profile_group.group_id = group.group_id
            for item in sorted(group.members, key=lambda item: (item.member_id, item.weight, item.watch_port)):
                added = clean.action_profile_group.members.add(member_id=item.member_id, weight=item.weight)
                watched = _watch_port(item)
                if watched is not None:
                    added.watch_port = bytestring.encode(watched)
            key = group_key(group.action_profile_id, group.group_id)
            return WireEntity(key, clean.SerializeToString(deterministic=True), group.action_profile_id)
        return None

    def decode(self, message: p4r.Entity) -> Entity:
        """A message in names, with numbers where symbols were. Raises PipelineMismatchError for ids of another pipeline."""
        kind = message.WhichOneof("entity")
        if kind == "action_profile_member":
            member = message.action_profile_member
            name = self._profile(member.action_profile_id).preamble.alias
            return ActionProfileMember(name, member.member_id, self._decode_call(member.action))
        if kind == "action_profile_group":
            group = message.action_profile_group
            name = self._profile(group.action_profile_id).preamble.alias
            members = tuple(GroupMember(item.member_id, item.weight, _watch_port(item)) for item in group.members)
            return ActionProfileGroup(name, group.group_id, members)
        if kind != "table_entry":
            raise PipelineMismatchError(f"a {kind} is not an entity that the controller writes")
        entry = message.table_entry
        table = self._table(entry.table_id)
        match = tuple(_decode_match(item, table) for item in entry.match)
        action: TableAction
        if entry.action.WhichOneof("type") == "action_profile_group_id":
            action = GroupReference(entry.action.action_profile_group_id)
        else:
            action = self._decode_call(entry.action.action)
        return TableEntry(table.name, match, action, entry.priority)

    def name_numbers(self, entity: Entity) -> Entity:
        """An entity that was decoded, with symbols in the place of the numbers that stand for them: as the derivation names it."""
        match entity:
            case TableEntry(table=name, match=match, action=action, priority=priority):
                table = self._table(name)
                named = tuple(self._name_match(item, table) for item in match)
                if isinstance(action, ActionCall):
                    return TableEntry(name, named, self._name_call(action), priority)
                group = self._symbol([group_space(table.profile or "")], action.group)
                return TableEntry(name, named, GroupReference(group), priority)
            case ActionProfileMember(action_profile=profile, member=member, action=call):
                return ActionProfileMember(
                    profile, self._symbol([member_space(profile)], member), self._name_call(call)
                )
            case ActionProfileGroup(action_profile=profile, group=group, members=members):
                space = [member_space(profile)]
                named_members = tuple(
                    GroupMember(self._symbol(space, item.member), item.weight, item.watch_port) for item in members
                )
                return ActionProfileGroup(profile, self._symbol([group_space(profile)], group), named_members)

    def _name_match(self, match: FieldMatch, table: _Table) -> FieldMatch:
        match match:
            case Exact(name, value):
                return Exact(name, self._symbol(self._field(table, name).spaces, value))
            case Ternary(name, value, None):
                return Ternary(name, self._symbol(self._field(table, name).spaces, value))
            case _:
                return match

    def _name_call(self, call: ActionCall) -> ActionCall:
        action = self._action(call.action)
        params = (
            Param(item.name, self._symbol(self._param(action, item.name).spaces, item.value)) for item in call.params
        )
        return ActionCall(call.action, tuple(params))

    def _symbol(self, spaces: Iterable[Space], value: Value) -> Value:
        if isinstance(value, int):
            for space in spaces:
                symbol = self.allocator.symbol(space, value)
                if symbol is not None:
                    return symbol
        return value

    def _decode_call(self, message: p4r.Action) -> ActionCall:
        action = self._action(message.action_id)
        return ActionCall(
            action.name,
            tuple(
                Param(action.by_id[param.param_id].name, int.from_bytes(param.value, "big"))
                for param in message.params
                if param.param_id in action.by_id
            ),
        )


# -- keys and canonical copies


def entry_key(entry: p4r.TableEntry) -> bytes:
    """The key of a table entry that has, of its message, only table, match and priority so far."""
    return b"T" + entry.SerializeToString(deterministic=True)


def member_key(profile_id: int, member_id: int) -> bytes:
    return b"M%d/%d" % (profile_id, member_id)


def group_key(profile_id: int, group_id: int) -> bytes:
    return b"G%d/%d" % (profile_id, group_id)


def _trim(data: bytes) -> bytes:
    return data.lstrip(b"\0") or b"\0"


def _copy_match(into: p4r.TableEntry, match: p4r.FieldMatch, field: _Field | None) -> None:
    """Add a match to an entry in canonical form; one that matches everything is left out."""
    match match.WhichOneof("field_match_type"):
        case "exact":
            into.match.add(field_id=match.field_id).exact.value = _trim(match.exact.value)
        case "lpm" if match.lpm.prefix_len:
            item = into.match.add(field_id=match.field_id)
            item.lpm.value = _trim(match.lpm.value)
            item.lpm.prefix_len = match.lpm.prefix_len
        case "ternary" if match.ternary.mask.strip(b"\0"):
            item = into.match.add(field_id=match.field_id)
            item.ternary.value = _trim(match.ternary.value)
            item.ternary.mask = _trim(match.ternary.mask)
        case "range":
            low, high = int.from_bytes(match.range.low, "big"), int.from_bytes(match.range.high, "big")
            if field is None or (low, high) != (0, field.mask):
                item = into.match.add(field_id=match.field_id)
                item.range.low = bytestring.encode(low)
                item.range.high = bytestring.encode(high)
        case "optional":
            into.match.add(field_id=match.field_id).optional.value = _trim(match.optional.value)
        case _:
            pass


def _watch_port(item: p4r.ActionProfileGroup.Member) -> int | None:
    """The port that a member is watched by, in whichever of its two forms the server says it."""
    if item.WhichOneof("watch_kind") == "watch":
        return item.watch or None
    return int.from_bytes(item.watch_port, "big") if item.watch_port else None


def _copy_action(into: p4r.Action, source: p4r.Action) -> None:
    into.action_id = source.action_id
    for param in sorted(source.params, key=lambda item: item.param_id):
        into.params.add(param_id=param.param_id, value=_trim(param.value))


def _decode_match(match: p4r.FieldMatch, table: _Table) -> FieldMatch:
    field = table.by_id.get(match.field_id)
    if field is None:
        raise PipelineMismatchError(f"table {table.name} has no match field {match.field_id} in the P4Info")
    match match.WhichOneof("field_match_type"):
        case "lpm":
            return Lpm(field.name, int.from_bytes(match.lpm.value, "big"), match.lpm.prefix_len)
        case "ternary":
            mask = int.from_bytes(match.ternary.mask, "big")
            return Ternary(field.name, int.from_bytes(match.ternary.value, "big"), None if mask == field.mask else mask)
        case "range":
            return Range(field.name, int.from_bytes(match.range.low, "big"), int.from_bytes(match.range.high, "big"))
        case "optional":
            return Exact(field.name, int.from_bytes(match.optional.value, "big"))
        case _:
            return Exact(field.name, int.from_bytes(match.exact.value, "big"))
