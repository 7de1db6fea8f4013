"""P4Runtime entities in the P4Info's names (P4Runtime specification, "P4 Entity Messages").

Fields, parameters, tables and actions are named by P4Info name or alias. A value is a number or a symbol
that stands for one; there are no ids and no bytes here.
"""

from __future__ import annotations

import msgspec

from controlplane.addresses import Prefix, format_address
from controlplane.desired.symbols import Value


class Exact(msgspec.Struct, frozen=True, gc=False):
    """An exact match field."""

    field: str
    value: Value


class Lpm(msgspec.Struct, frozen=True, gc=False):
    """A longest-prefix match field; the bits of `value` beyond `prefix_length` are 0. Length 0 matches everything."""

    field: str
    value: int
    prefix_length: int


class Ternary(msgspec.Struct, frozen=True, gc=False):
    """A ternary match field. A symbol as the value is matched whole, whatever `mask` says; so is a mask of None."""

    field: str
    value: Value
    mask: int | None = None


class Range(msgspec.Struct, frozen=True, gc=False):
    """A range match field, both ends included."""

    field: str
    low: int
    high: int


FieldMatch = Exact | Lpm | Ternary | Range
"""A field that is not named in an entry is not cared about (ternary, range, LPM only)."""


class Param(msgspec.Struct, frozen=True, gc=False):
    """An action parameter."""

    name: str
    value: Value


class ActionCall(msgspec.Struct, frozen=True, gc=False):
    """An action and its parameters."""

    action: str
    params: tuple[Param, ...] = ()


class GroupReference(msgspec.Struct, frozen=True, gc=False):
    """The action of an entry whose table has an action selector: a group of it."""

    group: Value


TableAction = ActionCall | GroupReference


class TableEntry(msgspec.Struct, frozen=True, gc=False):
    """A table entry. `priority` is P4Runtime's: higher wins; 0 unless the table has ternary or range fields."""

    table: str
    match: tuple[FieldMatch, ...]
    action: TableAction
    priority: int = 0

    @property
    def key(self) -> TableEntryKey:
        return TableEntryKey(self.table, self.match, self.priority)


class ActionProfileMember(msgspec.Struct, frozen=True, gc=False):
    """A member of an action profile or selector."""

    action_profile: str
    member: Value
    action: ActionCall

    @property
    def key(self) -> MemberKey:
        return MemberKey(self.action_profile, self.member)


class GroupMember(msgspec.Struct, frozen=True, gc=False):
    """A member's place in a group. `weight` is at least 1; while the port `watch_port` is down, the member is not chosen."""

    member: Value
    weight: int = 1
    watch_port: int | None = None


class ActionProfileGroup(msgspec.Struct, frozen=True, gc=False):
    """A group of an action selector; never empty."""

    action_profile: str
    group: Value
    members: tuple[GroupMember, ...]

    @property
    def key(self) -> GroupKey:
        return GroupKey(self.action_profile, self.group)


class TableEntryKey(msgspec.Struct, frozen=True, gc=False):
    """What makes a table entry the same entry."""

    table: str
    match: tuple[FieldMatch, ...]
    priority: int


class MemberKey(msgspec.Struct, frozen=True, gc=False):
    action_profile: str
    member: Value


class GroupKey(msgspec.Struct, frozen=True, gc=False):
    action_profile: str
    group: Value


Entity = TableEntry | ActionProfileMember | ActionProfileGroup
EntityKey = TableEntryKey | MemberKey | GroupKey


def entry(table: str, match: tuple[FieldMatch, ...], action: str, *params: Param, priority: int = 0) -> TableEntry:
    """A table entry with an action of its own: the common case, spelt short."""
    return TableEntry(table, match, ActionCall(action, params), priority)


def describe(entity: Entity) -> str:
    """The entity's key as people read it: `service_frontend_table dst_addr=10.96.0.10 protocol=6 l4_dport=80`."""
    match entity:
        case ActionProfileMember():
            return f"member of {entity.action_profile} for {entity.member}"
        case ActionProfileGroup():
            return f"group of {entity.action_profile} for {entity.group}"
        case TableEntry():
            return " ".join((entity.table, *(_describe_field(field) for field in entity.match)))


def _describe_field(field: FieldMatch) -> str:
    match field:
        case Exact(name, value):
            return f"{name}={_describe_value(name, value)}"
        case Lpm(name, value, length):
            return f"{name}={Prefix(value, length)}"
        case Ternary(name, value, mask):
            suffix = "" if mask is None or not isinstance(value, int) else f"&&&{mask:#x}"
            return f"{name}={_describe_value(name, value)}{suffix}"
        case Range(name, low, high):
            return f"{name}={low}..{high}"


def _describe_value(name: str, value: Value) -> str:
    return format_address(value) if isinstance(value, int) and name.endswith("addr") else str(value)
