"""The short way of the most common update: an INSERT or MODIFY of a table entry, straight from its bytes.

Reading an update's fields through message objects costs more than everything else that is done with it. What well-behaved
clients send differs only in its values, so here the bytes are compared with the ones that such an update would have,
value by value. That holds for tables with exact fields and at most one LPM field and a direct action, in P4Info's order and
with nothing else set. Whatever differs in any way, mistakes included, is left to `TableEntryHandler`: this module never
refuses an update, and accepts none that the handler would refuse or understand otherwise (the tests compare the two).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from p4switch.dataplane import Action, Dataplane, Match
from p4switch.service import wire
from p4switch.service.action_plan import ActionPlan
from p4switch.service.entity import INSERT, MODIFY
from p4switch.service.match_plan import LPM, KeyField, value_prefixes
from p4switch.service.table_entry import Table

_ID_BYTES = 5
"""A tag and the varint of an id of the form that the specification gives to tables and actions (0x01.. to 0x0f......)."""

_MAX_VALUE_BYTES = 64
"""Wider values would need lengths of two bytes."""

_TYPE_TAG = 0x08
_ENTITY_TAG = 0x12
_TABLE_ENTRY_TAG = 0x12
_ACTION_TAG = 0x1A
_DIRECT_ACTION_TAG = 0x0A
_PREFIX_LENGTH_TAG = 0x10

Take = Callable[[bytes, int, list[bytes], list[bytes]], int]
"""(update, position, values, masks) -> the position after the field, or -1; appends the packed value and mask."""

TakeAction = Callable[[bytes, int], Action | None]
"""(update, position of the parameters) -> the action, if the update ends with it."""

WriteFast = Callable[[bytes], bool]
"""Carries out a `p4.v1.Update`, as protobuf serialises it, and returns true; or returns false and does nothing.

Raises DataplaneError."""


def make_fast_writer(tables: Iterable[Table], dataplane: Dataplane) -> WriteFast:
    """The short way for all tables that have one."""
    plans = {}
    for table in tables:
        head = wire.varint_field(1, table.id)
        if len(head) == _ID_BYTES and _is_simple(table):
            plans[head] = (table, [_take_field(field) for field in table.match.fields], _take_actions(table))
    insert_entry, modify_entry = dataplane.insert_entry, dataplane.modify_entry
    find = plans.get

    def write(update: bytes) -> bool:
        try:
            if update[0] != _TYPE_TAG or update[2] != _ENTITY_TAG:
                return False
            at = 4 if update[3] < 128 else 5
            if update[at] != _TABLE_ENTRY_TAG:
                return False
            at += 2 if update[at + 1] < 128 else 3
            plan = find(update[at : at + _ID_BYTES])
            if plan is None:
                return False
            at += _ID_BYTES
            table, fields, actions = plan
            values: list[bytes] = []
            masks: list[bytes] = []
            for take in fields:
                at = take(update, at, values, masks)
                if at < 0:
                    return False
            # The action's two enclosing messages, each shorter than 128 bytes.
            if update[at] != _ACTION_TAG or update[at + 1] > 127:
                return False
            if update[at + 2] != _DIRECT_ACTION_TAG or update[at + 1] != update[at + 3] + 2:
                return False
            take_action = actions.get(update[at + 4 : at + 4 + _ID_BYTES])
            if take_action is None:
                return False
            action = take_action(update, at + 4 + _ID_BYTES)
        except IndexError:  # shorter than any such update
            return False
        if action is None:
            return False
        match = Match(b"".join(values), b"".join(masks))
        kind = update[1]
        if kind == INSERT:
            insert_entry(table.name, match, action)
        elif kind == MODIFY:
            modify_entry(table.name, match, action)
            if table.extras:
                table.extras.pop(match, None)
        else:
            return False
        return True

    return write


def _is_simple(table: Table) -> bool:
    fields = table.match.fields
    return (
        bool(fields)
        and table.profile is None
        and not table.const
        and not table.match.has_priority
        and _in_order([(field.offset, field.size) for field in fields])
        and all(0 < field.size <= _MAX_VALUE_BYTES and not field.sdn_string for field in fields)
    )


def _in_order(places: list[tuple[int, int]]) -> bool:
    """Whether places of (offset, size) follow one another without a gap from 0."""
    end = 0
    for offset, size in places:
        if offset != end:
            return False
        end += size
    return True


def _first_byte_limit(bitwidth: int) -> int:
    """The first byte of a value of full length must be below this."""
    return 1 << ((bitwidth - 1) % 8 + 1)


def _take_field(field: KeyField) -> Take:
    return _take_lpm(field) if field.kind == LPM else _take_exact(field)


def _take_exact(field: KeyField) -> Take:
    size, limit = field.size, _first_byte_limit(field.bitwidth)
    prefixes = value_prefixes(field)
    head = len(prefixes[1])
    last = head - 1
    ones = field.ones.to_bytes(size, "big")

    def take(update: bytes, at: int, values: list[bytes], masks: list[bytes]) -> int:
        length = update[at + last]
        if not 0 < length <= size or update[at : at + head] != prefixes[length]:
            return -1
        at += head
        value = update[at : at + length]
        if length < size:
            value = value.rjust(size, b"\0")
        elif value[0] >= limit:
            return -1
        values.append(value)
        return at + length

    def take_with_mask(update: bytes, at: int, values: list[bytes], masks: list[bytes]) -> int:
        masks.append(ones)
        return take(update, at, values, masks)

    return take_with_mask if field.in_masked_key else take


def _take_lpm(field: KeyField) -> Take:
    size, bitwidth = field.size, field.bitwidth
    prefixes = [value_prefixes(field, following=following) for following in (0, 2, 3)]
    short, long = prefixes[1], prefixes[2]
    head = len(short[1])
    last = head - 1
    masks_by_length = [
        (field.ones >> (bitwidth - length) << (bitwidth - length)).to_bytes(size, "big")
        for length in range(bitwidth + 1)
    ]
    rest_by_length = [field.ones >> length for length in range(bitwidth + 1)]
    from_bytes = int.from_bytes

    def take(update: bytes, at: int, values: list[bytes], masks: list[bytes]) -> int:
        size_given = update[at + last]
        if not 0 < size_given <= size:
            return -1
        written = update[at : at + head]
        at += head
        value = update[at : at + size_given]
        at += size_given
        if update[at] != _PREFIX_LENGTH_TAG:
            return -1
        length = update[at + 1]
        if length < 128:
            if written != short[size_given]:
                return -1
            at += 2
        else:
            if written != long[size_given]:
                return -1
            length = (length & 127) | update[at + 2] << 7
            at += 3
        if not 0 < length <= bitwidth:
            return -1
        number = from_bytes(value, "big")
        if number & rest_by_length[length] or number >> bitwidth:
            return -1
        values.append(value.rjust(size, b"\0"))
        masks.append(masks_by_length[length])
        return at

    return take


def _take_actions(table: Table) -> dict[bytes, TakeAction]:
    """By the bytes of the action's id."""
    actions = {}
    for plan in table.actions.values():
        head = wire.varint_field(1, plan.id)
        places = [(param.offset, param.size) for param in plan.params]
        if (
            len(head) == _ID_BYTES
            and _in_order(places)
            and all(0 < param.size <= _MAX_VALUE_BYTES and not param.sdn_string for param in plan.params)
        ):
            actions[head] = _take_params(plan)
    return actions


def _take_params(plan: ActionPlan) -> TakeAction:
    name = plan.name
    if not plan.params:
        constant = Action(name)
        return lambda update, at: constant if at == len(update) else None
    steps = []
    for param, (_, _, prefixes) in zip(plan.params, plan.wire_plan, strict=True):
        head = len(prefixes[1])
        steps.append((param.size, _first_byte_limit(param.bitwidth), prefixes, head, head - 1))

    def take(update: bytes, at: int) -> Action | None:
        args = []
        for size, limit, prefixes, head, last in steps:
            length = update[at + last]
            if not 0 < length <= size or update[at : at + head] != prefixes[length]:
                return None
            at += head
            value = update[at : at + length]
            at += length
            if length < size:
                value = value.rjust(size, b"\0")
            elif value[0] >= limit:
                return None
            args.append(value)
        return Action(name, b"".join(args)) if at == len(update) else None

    return take
