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
        message: the message itself.
    """

    key: bytes
    body: bytes
    container: int
    message: p4r.Entity


class _Field:
    __slots__ = ("bitwidth", "id", "mask", "name", "spaces")

    def __init__(self, id_: int, name: str, bitwidth: int) -> None:
        self.id = id_
        self.name = name
        self.bitwidth = bitwidth
        self.mask = (1 << bitwidth) - 1
        self.spaces: dict[Space, None] = {}  # that its symbols' numbers have come from so far


class _Table:
    """What encoding needs of one table of the P4Info."""

    def __init__(self, table: p4i.Table, index: P4InfoIndex) -> None:
        self.id = table.preamble.id
        self.name = table.preamble.alias
        self.fields = {item.name: _Field(item.id, item.name, item.bitwidth) for item in table.match_fields}
        self.by_id = {field.id: field for field in self.fields.values()}
        self.actions = {ref.id for ref in table.action_refs}
        profile = index.action_profiles.get(table.implementation_id) if table.implementation_id else None
        self.profile = None if profile is None else profile.preamble.alias


class _Action:
    def __init__(self, action: p4i.Action) -> None:
        self.id = action.preamble.id
        self.name = action.preamble.alias
        self.params = {item.name: _Field(item.id, item.name, item.bitwidth) for item in action.params}
        self.by_id = {field.id: field for field in self.params.values()}


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
                table = self._tables[key] = _Table(self.index.tables[key], self.index)
            except UnknownNameError as error:
                raise PipelineMismatchError(str(error)) from None
        return table

    def _action(self, key: str | int) -> _Action:
        action = self._actions.get(key)
        if action is None:
            try:
                action = self._actions[key] = _Action(self.index.actions[key])
            except UnknownNameError as error:
                raise PipelineMismatchError(str(error)) from None
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
            case TableEntry(table=name, match=match, action=action):
                yield from self._match_slots(self._table(name), match)
                if isinstance(action, ActionCall):
                    yield from self._call_slots(action)
                elif not isinstance(action.group, int):
                    yield group_space(self._table(name).profile or ""), action.group
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

    def match_slots(self, entry: TableEntry) -> Iterator[tuple[int, int, Slot]]:
        """Table id, field id and slot of every symbol in the key."""
        table = self._table(entry.table)
        for match in entry.match:
            if isinstance(match, Exact | Ternary) and not isinstance(match.value, int):
                field = self._field(table, match.field)
                yield table.id, field.id, (value_space(match.value, field.bitwidth), match.value)

    # -- encoding

    def encode(self, entity: Entity) -> WireEntity:
        """The entity as a message; symbols without a number get one.

        Raises:
            PipelineMismatchError: the P4Info has no such table, field, action or parameter, or a value does not fit.
            SpaceFullError: there is no number left for a symbol.
        """
        message = p4r.Entity()
        match entity:
            case TableEntry():
                table = self._table(entity.table)
                self._encode_key(message.table_entry, table, entity)
                key = entry_key(message.table_entry)
                self._encode_table_action(message.table_entry.action, table, entity.action)
                container = table.id
            case ActionProfileMember(action_profile=name, member=member, action=call):
                container = self._profile(name).preamble.id
                target = message.action_profile_member
                target.action_profile_id = container
                target.member_id = self._number(member_space(name), member)
                self._encode_call(target.action, call)
                key = member_key(container, target.member_id)
            case ActionProfileGroup(action_profile=name, group=group, members=members):
                container = self._profile(name).preamble.id
                into = message.action_profile_group
                into.action_profile_id = container
                into.group_id = self._number(group_space(name), group)
                space = member_space(name)
                numbered = sorted((self._number(space, item.member), item.weight) for item in members)
                for member_id, weight in numbered:
                    into.members.add(member_id=member_id, weight=weight)
                key = group_key(container, into.group_id)
        return WireEntity(key, message.SerializeToString(deterministic=True), container, message)

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
                message = p4r.TableEntry()
                self._encode_key(message, self._table(entity.table), entity)
                return entry_key(message)
            case ActionProfileMember(action_profile=name, member=member):
                return member_key(self._profile(name).preamble.id, self._number(member_space(name), member))
            case ActionProfileGroup(action_profile=name, group=group):
                return group_key(self._profile(name).preamble.id, self._number(group_space(name), group))

    def _number(self, space: Space, value: Value) -> int:
        return value if isinstance(value, int) else self.allocator.number(space, value)

    def _value(self, field: _Field, value: Value, owner: str) -> int:
        if not isinstance(value, int):
            space = value_space(value, field.bitwidth)
            field.spaces[space] = None
            return self.allocator.number(space, value)
        if not 0 <= value <= field.mask:
            raise PipelineMismatchError(f"{owner}.{field.name}: {value:#x} does not fit in {field.bitwidth} bits")
        return value

    def _encode_key(self, into: p4r.TableEntry, table: _Table, entry: TableEntry) -> None:
        into.table_id = table.id
        into.priority = entry.priority
        located = sorted(
            ((self._field(table, match.field), match) for match in entry.match), key=lambda pair: pair[0].id
        )
        for field, match in located:
            match match:
                case Exact(value=value):
                    item = into.match.add(field_id=field.id)
                    item.exact.value = bytestring.encode(self._value(field, value, table.name))
                case Lpm(value=number, prefix_length=length):
                    if length:  # a prefix of no bits is said by leaving it out
                        item = into.match.add(field_id=field.id)
                        item.lpm.value = bytestring.encode(self._value(field, number, table.name))
                        item.lpm.prefix_len = length
                case Ternary(value=value, mask=mask):
                    whole = mask is None or not isinstance(value, int)
                    bits = field.mask if whole or mask is None else mask & field.mask
                    if bits:
                        item = into.match.add(field_id=field.id)
                        item.ternary.value = bytestring.encode(self._value(field, value, table.name) & bits)
                        item.ternary.mask = bytestring.encode(bits)
                case Range(low=low, high=high):
                    if (low, high) != (0, field.mask):
                        item = into.match.add(field_id=field.id)
                        item.range.low = bytestring.encode(self._value(field, low, table.name))
                        item.range.high = bytestring.encode(self._value(field, high, table.name))

    def _encode_table_action(self, into: p4r.TableAction, table: _Table, action: TableAction) -> None:
        if isinstance(action, GroupReference):
            if table.profile is None:
                raise PipelineMismatchError(f"table {table.name} has no action selector in the P4Info")
            into.action_profile_group_id = self._number(group_space(table.profile), action.group)
            return
        if self._action(action.action).id not in table.actions:
            raise PipelineMismatchError(f"table {table.name} has no action {action.action} in the P4Info")
        self._encode_call(into.action, action)

    def _encode_call(self, into: p4r.Action, call: ActionCall) -> None:
        action = self._action(call.action)
        into.action_id = action.id
        if len(call.params) != len(action.params):
            wanted = ", ".join(action.params) or "none"
            raise PipelineMismatchError(f"action {action.name} takes the parameters {wanted} in the P4Info")
        located = sorted(
            ((self._param(action, param.name), param) for param in call.params), key=lambda pair: pair[0].id
        )
        for field, param in located:
            into.params.add(param_id=field.id, value=bytestring.encode(self._value(field, param.value, action.name)))

    # -- decoding

    def canonical(self, message: p4r.Entity) -> WireEntity | None:
        """A message read from the switch, in the form that `encode` gives; None for what is not the controller's.

        Not the controller's are default entries, constant ones and those of kinds that it does not write.
        """
        clean = p4r.Entity()
        kind = message.WhichOneof("entity")
        if kind == "table_entry":
            source = message.table_entry
            if source.is_default_action or source.is_const:
                return None
            entry = clean.table_entry
            entry.table_id = source.table_id
            entry.priority = source.priority
            if source.metadata:
                entry.metadata = source.metadata
            if source.idle_timeout_ns:
                entry.idle_timeout_ns = source.idle_timeout_ns
            table = self._table(source.table_id)
            for match in sorted(source.match, key=lambda item: item.field_id):
                _copy_match(entry, match, table.by_id.get(match.field_id))
            key = entry_key(entry)
            if source.action.WhichOneof("type") == "action":
                _copy_action(entry.action.action, source.action.action)
            else:
                entry.action.CopyFrom(source.action)
            return WireEntity(key, clean.SerializeToString(deterministic=True), entry.table_id, clean)
        if kind == "action_profile_member":
            member = message.action_profile_member
            clean.action_profile_member.action_profile_id = member.action_profile_id
            clean.action_profile_member.member_id = member.member_id
            _copy_action(clean.action_profile_member.action, member.action)
            key = member_key(member.action_profile_id, member.member_id)
            return WireEntity(key, clean.SerializeToString(deterministic=True), member.action_profile_id, clean)
        if kind == "action_profile_group":
            group = message.action_profile_group
            clean.action_profile_group.action_profile_id = group.action_profile_id
            clean.action_profile_group.group_id = group.group_id
            for item in sorted(group.members, key=lambda item: (item.member_id, item.weight)):
                clean.action_profile_group.members.add(member_id=item.member_id, weight=item.weight)
            key = group_key(group.action_profile_id, group.group_id)
            return WireEntity(key, clean.SerializeToString(deterministic=True), group.action_profile_id, clean)
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
            members = tuple(GroupMember(item.member_id, item.weight) for item in group.members)
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
                named_members = tuple(GroupMember(self._symbol(space, item.member), item.weight) for item in members)
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
