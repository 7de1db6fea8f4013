"""Parser value sets (specification, "ValueSetEntry")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from p4base.bytestring import byte_width
from p4base.messages import p4i, p4r
from p4switch.dataplane import Dataplane, Match, ValueSetField
from p4switch.service import wire
from p4switch.service.entity import MODIFY, VALUE_SET_ENTRY, Emit, ReadScope, answer
from p4switch.service.errors import Code, P4Error, invalid
from p4switch.service.match_plan import RANGE, MatchPlan, value_set_match_plan

_answer = answer(VALUE_SET_ENTRY)

# Field numbers of ValueSetEntry.
_ID = 1
_MEMBERS = 2


@dataclass(slots=True)
class ValueSet:
    """One value set.

    Attributes:
        match: its members' fields, without a priority.
        members: those installed, in the order in which they were written; on the wire.
    """

    id: int
    name: str
    size: int
    match: MatchPlan
    fields: tuple[ValueSetField, ...]
    members: tuple[bytes, ...] = ()


def build_value_sets(infos: Iterable[p4i.ValueSet]) -> dict[int, ValueSet]:
    """The value sets of a P4Info, whose fields are in the order of the parser's key."""
    sets = {}
    for info in infos:
        plan = value_set_match_plan(info)
        fields = tuple(ValueSetField(byte_width(field.bitwidth), field.kind == RANGE) for field in plan.fields)
        sets[info.preamble.id] = ValueSet(info.preamble.id, info.preamble.name, info.size, plan, fields)
    return sets


class ValueSetHandler:
    """`ValueSetEntry`."""

    def __init__(self, sets: Mapping[int, ValueSet], dataplane: Dataplane) -> None:
        self._sets = sets
        self._dataplane = dataplane

    def p4_id(self, message: p4r.ValueSetEntry) -> int:
        return message.value_set_id

    def _find(self, value_set_id: int) -> ValueSet:
        found = self._sets.get(value_set_id)
        if found is None:
            raise invalid(f"no value set has the id 0x{value_set_id:08x}")
        return found

    def write(self, kind: int, message: p4r.ValueSetEntry) -> None:
        value_set = self._find(message.value_set_id)
        if kind != MODIFY:
            raise invalid(f"value set {value_set.name}: it can only be modified")
        if len(message.members) > value_set.size:
            raise P4Error(
                Code.RESOURCE_EXHAUSTED,
                f"value set {value_set.name}: {len(message.members)} members, it holds {value_set.size}",
            )
        members: dict[Match, bytes] = {}
        for i, member in enumerate(message.members):
            match = self._encode(value_set, member.match)
            if match in members:
                raise P4Error(Code.ALREADY_EXISTS, f"value set {value_set.name}: member {i} is given twice")
            members[match] = value_set.match.to_wire(match)
        self._dataplane.write_value_set(value_set.name, list(members), value_set.fields)
        value_set.members = tuple(members.values())

    @staticmethod
    def _encode(value_set: ValueSet, matches: Sequence[p4r.FieldMatch]) -> Match:
        return value_set.match.encode(matches, 0)

    def read(self, message: p4r.ValueSetEntry, scope: ReadScope, emit: Emit) -> None:
        if not message.value_set_id:
            for value_set in self._sets.values():
                if scope.sees(value_set.id):
                    emit(_answer(_to_wire(value_set)))
            return
        value_set = self._find(message.value_set_id)
        scope.check(value_set.id, value_set.name)
        emit(_answer(_to_wire(value_set)))

    def snapshot(self, message: p4r.ValueSetEntry) -> Iterable[p4r.Entity]:
        entity = p4r.Entity()
        entity.value_set_entry.ParseFromString(_to_wire(self._find(message.value_set_id)))
        return [entity]


def _to_wire(value_set: ValueSet) -> bytes:
    # A member's fields bear the number 2 in a TableEntry, and 1 in a ValueSetMember.
    return wire.varint_field(_ID, value_set.id) + b"".join(
        wire.bytes_field(_MEMBERS, b"".join(wire.bytes_field(1, field) for field in _fields(member)))
        for member in value_set.members
    )


def _fields(member: bytes) -> Iterable[bytes]:
    return (value for _, value in wire.fields(member) if isinstance(value, bytes))
