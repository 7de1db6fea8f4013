"""A table's key, precompiled: `FieldMatch` messages to the seam's packed `Match`, and back to bytes on the wire.

The rules are those of the specification, "Match Format". What a well-behaved client sends for a table of exact fields
takes a short path; everything else, mistakes included, takes the general one, which knows the words for each mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from p4base import bytestring
from p4base.messages import p4i, p4r
from p4switch.dataplane import Match
from p4switch.service import wire
from p4switch.service.errors import Code, P4Error, invalid
from p4switch.service.program import DeviceTable
from p4switch.service.translation import StringMap

EXACT = "exact"
LPM = "lpm"
TERNARY = "ternary"
RANGE = "range"
OPTIONAL = "optional"

_KINDS = {
    p4i.MatchField.EXACT: EXACT,
    p4i.MatchField.LPM: LPM,
    p4i.MatchField.TERNARY: TERNARY,
    p4i.MatchField.RANGE: RANGE,
    p4i.MatchField.OPTIONAL: OPTIONAL,
}

# Field numbers of p4.v1.FieldMatch and p4.v1.TableEntry.
_FIELD_ID = 1
KIND_NUMBER = {EXACT: 2, TERNARY: 3, LPM: 4, RANGE: 6, OPTIONAL: 7}
_PREFIX_LENGTH = 2
_ENTRY_MATCH = 2
_ENTRY_PRIORITY = 4

MAX_PRIORITY = 2**31 - 1


class KeyField(msgspec.Struct, frozen=True):
    """One field of the key.

    Attributes:
        bitwidth: the device's; `size` bytes of it are at `offset` of the packed key.
        strings: of a type that the controller calls by strings.
        in_masked_key: some field of the key is not exact, so that the packed key has a mask.
    """

    id: int
    name: str
    kind: str
    bitwidth: int
    offset: int
    size: int
    in_masked_key: bool
    strings: StringMap | None = None

    @property
    def ones(self) -> int:
        return (1 << self.bitwidth) - 1


FieldEncoder = Callable[[KeyField, p4r.FieldMatch], tuple[int, int]]
"""The value and mask (or the bounds) of one field as numbers."""


def _number(field: KeyField, data: bytes, what: str) -> int:
    try:
        return bytestring.decode(data, field.bitwidth)
    except bytestring.BytestringError as error:
        raise invalid(f"{what}: {error}") from None


def _encode_exact(field: KeyField, match: p4r.FieldMatch) -> tuple[int, int]:
    return _number(field, match.exact.value, "value"), field.ones


def _encode_optional(field: KeyField, match: p4r.FieldMatch) -> tuple[int, int]:
    return _number(field, match.optional.value, "value"), field.ones


def _encode_lpm(field: KeyField, match: p4r.FieldMatch) -> tuple[int, int]:
    length = match.lpm.prefix_len
    if not 0 < length <= field.bitwidth:
        hint = "; omit the field to match everything" if length == 0 else ""
        raise invalid(f"prefix_len {length}, expected 1 to {field.bitwidth}{hint}")
    value = _number(field, match.lpm.value, "value")
    mask = field.ones >> (field.bitwidth - length) << (field.bitwidth - length)
    if value & ~mask:
        raise invalid(f"value 0x{value:x} has bits set beyond its prefix of {length} bits")
    return value, mask


def _encode_ternary(field: KeyField, match: p4r.FieldMatch) -> tuple[int, int]:
    value = _number(field, match.ternary.value, "value")
    mask = _number(field, match.ternary.mask, "mask")
    if not mask:
        raise invalid("the mask is 0; omit the field to match everything")
    if value & ~mask:
        raise invalid(f"value 0x{value:x} has bits set outside its mask 0x{mask:x}")
    return value, mask


def _encode_range(field: KeyField, match: p4r.FieldMatch) -> tuple[int, int]:
    low = _number(field, match.range.low, "low")
    high = _number(field, match.range.high, "high")
    if low > high:
        raise invalid(f"low bound 0x{low:x} is above the high bound 0x{high:x}")
    if low == 0 and high == field.ones:
        raise invalid("the range covers every value; omit the field to match everything")
    return low, high


_ENCODERS: dict[str, FieldEncoder] = {
    EXACT: _encode_exact,
    LPM: _encode_lpm,
    TERNARY: _encode_ternary,
    RANGE: _encode_range,
    OPTIONAL: _encode_optional,
}


class MatchPlan:
    """The key of one table, or of the members of one value set.

    Attributes:
        what: "table NAME", for messages.
        fields: in P4Info's order, which is also the order on the wire.
        has_priority: it is a table and the key holds a ternary, range or optional field.
        encode: (field matches, priority) -> Match; raises P4Error INVALID_ARGUMENT naming table and field.
        to_wire: Match -> the `match` and `priority` fields of a TableEntry, in canonical form.
    """

    def __init__(self, what: str, fields: tuple[KeyField, ...], *, prioritised: bool) -> None:
        self.what = what
        self.fields = fields
        self._by_id = {field.id: field for field in self.fields}
        self.size = sum(field.size for field in self.fields)
        kinds = {field.kind for field in self.fields}
        self.has_priority = prioritised and bool(kinds & {TERNARY, RANGE, OPTIONAL})
        self.all_exact = kinds <= {EXACT}
        self.encode: Callable[[Sequence[p4r.FieldMatch], int], Match] = self._encode
        self.to_wire: Callable[[Match], bytes] = self._mixed_to_wire()
        if self.all_exact and not any(field.strings for field in self.fields):
            self.to_wire = self._exact_to_wire()
            self.encode = self._exact_encoder()

    # -- from messages

    def _encode(self, matches: Sequence[p4r.FieldMatch], priority: int) -> Match:
        """The general path: every kind, any order of fields, every mistake."""
        self._check_priority(priority)
        value = bytearray(self.size)
        mask = bytearray(self.size)
        for field in self.fields:  # what an omitted field means
            if field.kind == RANGE:
                mask[field.offset : field.offset + field.size] = field.ones.to_bytes(field.size, "big")
        seen = set()
        for match in matches:
            found = self._by_id.get(match.field_id)
            if found is None:
                known = ", ".join(f"{f.id} ({f.name})" for f in self.fields) or "none, the table has no key"
                raise invalid(f"{self.what} has no key field with id {match.field_id}; its fields are {known}")
            if found.id in seen:
                raise self._field_error(found, "given twice")
            seen.add(found.id)
            field_value, field_mask = self._encode_field(found, match)
            value[found.offset : found.offset + found.size] = field_value.to_bytes(found.size, "big")
            mask[found.offset : found.offset + found.size] = field_mask.to_bytes(found.size, "big")
        for field in self.fields:
            if field.kind == EXACT and field.id not in seen:
                raise self._field_error(field, "missing; an exact field must be given")
        return Match(bytes(value), b"" if self.all_exact else bytes(mask), priority)

    def _encode_field(self, field: KeyField, match: p4r.FieldMatch) -> tuple[int, int]:
        kind = match.WhichOneof("field_match_type")
        if kind != field.kind:
            raise self._field_error(field, f"the match is {kind or 'unset'}, expected {field.kind}")
        if field.strings is not None:
            return self._encode_string(field, field.strings, match)
        try:
            return _ENCODERS[kind](field, match)
        except P4Error as error:
            raise self._field_error(field, str(error)) from None

    def _encode_string(self, field: KeyField, strings: StringMap, match: p4r.FieldMatch) -> tuple[int, int]:
        if field.kind not in (EXACT, OPTIONAL):
            raise P4Error(
                Code.UNIMPLEMENTED, f"{self.what}: key {field.name} is called by strings, but matched as {field.kind}"
            )
        try:
            return strings.number(getattr(match, field.kind).value, field.bitwidth), field.ones
        except P4Error as error:
            raise P4Error(error.code, f"{self.what}: key {field.name}: {error}") from None

    def knows(self, matches: Sequence[p4r.FieldMatch]) -> bool:
        """Whether all strings in a key have been written before, so that there can be an entry with it."""
        for match in matches:
            field = self._by_id.get(match.field_id)
            if field is None or field.strings is None or field.kind not in (EXACT, OPTIONAL):
                continue
            if not field.strings.knows(getattr(match, field.kind).value):
                return False
        return True

    def _field_error(self, field: KeyField, problem: str) -> P4Error:
        return invalid(f"{self.what}: key {field.name} ({field.kind}, {field.bitwidth} bits): {problem}")

    def _check_priority(self, priority: int) -> None:
        if self.has_priority:
            if not 0 < priority <= MAX_PRIORITY:
                raise invalid(
                    f"{self.what} has a ternary, range or optional key: an entry needs a priority of 1 to "
                    f"{MAX_PRIORITY}, got {priority}"
                )
        elif priority:
            raise invalid(f"{self.what} has no ternary, range or optional key: priority must be 0, got {priority}")

    def _exact_encoder(self) -> Callable[[Sequence[p4r.FieldMatch], int], Match]:
        """The short path for exact fields sent in P4Info's order; whatever is unusual goes the general way."""
        general = self._encode
        count = len(self.fields)
        # (id, bytes, the first value too large for a first byte at full length)
        plan = [(field.id, field.size, 1 << ((field.bitwidth - 1) % 8 + 1)) for field in self.fields]
        in_order = [field.offset for field in self.fields] == sorted(field.offset for field in self.fields)
        if not in_order or not count:
            return general
        if count == 1:
            only_id, only_size, only_limit = plan[0]

            def encode_one(matches: Sequence[p4r.FieldMatch], priority: int) -> Match:
                if priority == 0 and len(matches) == 1:
                    match = matches[0]
                    value = match.exact.value
                    length = len(value)
                    if match.field_id == only_id and 0 < length <= only_size:
                        if length < only_size:
                            return Match(value.rjust(only_size, b"\0"))
                        if value[0] < only_limit:
                            return Match(value)
                return general(matches, priority)

            return encode_one

        def encode_many(matches: Sequence[p4r.FieldMatch], priority: int) -> Match:
            if priority or len(matches) != count:
                return general(matches, priority)
            parts = []
            for match, (field_id, size, limit) in zip(matches, plan, strict=True):
                value = match.exact.value
                length = len(value)
                if match.field_id != field_id or not 0 < length <= size:
                    return general(matches, priority)
                if length < size:
                    value = value.rjust(size, b"\0")
                elif value[0] >= limit:
                    return general(matches, priority)
                parts.append(value)
            return Match(b"".join(parts))

        return encode_many

    # -- to the wire

    def _exact_to_wire(self) -> Callable[[Match], bytes]:
        plan = [(field.offset, field.offset + field.size, value_prefixes(field)) for field in self.fields]
        if len(plan) == 1:
            prefixes = plan[0][2]

            def one_to_wire(match: Match) -> bytes:
                value = match.value.lstrip(b"\0") or b"\0"
                return prefixes[len(value)] + value

            return one_to_wire

        def exact_to_wire(match: Match) -> bytes:
            packed = match.value
            parts = []
            for start, end, prefixes in plan:
                value = packed[start:end].lstrip(b"\0") or b"\0"
                parts.append(prefixes[len(value)])
                parts.append(value)
            return b"".join(parts)

        return exact_to_wire

    def _mixed_to_wire(self) -> Callable[[Match], bytes]:
        plan = [(field.offset, field.offset + field.size, _field_to_wire(field)) for field in self.fields]
        has_priority = self.has_priority
        if len(plan) == 1 and not has_priority:
            only_to_wire = plan[0][2]
            return lambda match: only_to_wire(match.value, match.mask)

        def mixed_to_wire(match: Match) -> bytes:
            parts = []
            value, mask = match.value, match.mask
            for start, end, to_wire in plan:
                parts.append(to_wire(value[start:end], mask[start:end]))
            if has_priority:
                parts.append(wire.varint_field(_ENTRY_PRIORITY, match.priority))
            return b"".join(parts)

        return mixed_to_wire


def table_match_plan(table: p4i.Table, device: DeviceTable, strings: Mapping[str, StringMap]) -> MatchPlan:
    """The key of a table. `strings`: by type name, those of types that the controller calls by strings."""
    return MatchPlan(f"table {table.preamble.name}", _layout(table, device, strings), prioritised=True)


def value_set_match_plan(value_set: p4i.ValueSet) -> MatchPlan:
    """The members of a value set: their fields one behind the other, in P4Info's order."""
    fields, offset = [], 0
    masked = any(match_field.match_type != p4i.MatchField.EXACT for match_field in value_set.match)
    for match_field in value_set.match:
        size = bytestring.byte_width(match_field.bitwidth)
        fields.append(
            KeyField(
                id=match_field.id,
                name=match_field.name or str(match_field.id),
                kind=_KINDS[match_field.match_type],
                bitwidth=match_field.bitwidth,
                offset=offset,
                size=size,
                in_masked_key=masked,
            )
        )
        offset += size
    return MatchPlan(f"value set {value_set.preamble.name}", tuple(fields), prioritised=False)


def _layout(table: p4i.Table, device: DeviceTable, strings: Mapping[str, StringMap]) -> tuple[KeyField, ...]:
    """The key's fields with their places in the packed key, which follow the JSON's order."""
    places: dict[str, tuple[int, int, int]] = {}
    widths = {field.name: field.bitwidth for field in table.match_fields}
    offset = 0
    for key in device.keys:
        bitwidth = key.bitwidth if key.bitwidth is not None else widths.get(key.name, 0)
        size = bytestring.byte_width(bitwidth)
        places[key.name] = (offset, size, bitwidth)
        offset += size
    masked = any(match_field.match_type != p4i.MatchField.EXACT for match_field in table.match_fields)
    fields = []
    for match_field in table.match_fields:
        offset, size, bitwidth = places[match_field.name]
        fields.append(
            KeyField(
                id=match_field.id,
                name=match_field.name,
                kind=_KINDS[match_field.match_type],
                bitwidth=bitwidth,
                offset=offset,
                size=size,
                in_masked_key=masked,
                strings=strings.get(match_field.type_name.name),
            )
        )
    return tuple(fields)


def value_prefixes(field: KeyField, following: int = 0) -> list[bytes]:
    """What precedes the first value of a field's match on the wire, by the value's length in bytes.

    Args:
        following: how many bytes follow the value within the match (an LPM's prefix length).
    """
    inner = wire.varint_field(_FIELD_ID, field.id)
    number = KIND_NUMBER[field.kind]
    prefixes = []
    for length in range(field.size + 1):
        value_head = wire.tag(1, wire.BYTES) + wire.varint(length)
        rest = length + following
        kind_head = wire.tag(number, wire.BYTES) + wire.varint(len(value_head) + rest)
        head = inner + kind_head + value_head
        prefixes.append(wire.tag(_ENTRY_MATCH, wire.BYTES) + wire.varint(len(head) + rest) + head)
    return prefixes


def _field_to_wire(field: KeyField) -> Callable[[bytes, bytes], bytes]:
    """(packed value, packed mask) -> the TableEntry's `match` field, empty for a don't-care."""
    number = KIND_NUMBER[field.kind]
    inner = wire.varint_field(_FIELD_ID, field.id)
    zeros = bytes(field.size)
    strings = field.strings
    ones = field.ones.to_bytes(field.size, "big")

    def wrap(content: bytes) -> bytes:
        return wire.bytes_field(_ENTRY_MATCH, inner + wire.bytes_field(number, content))

    if strings is not None:

        def string_to_wire(value: bytes, mask: bytes) -> bytes:
            if field.kind != EXACT and mask == zeros:
                return b""
            return wrap(wire.bytes_field(1, strings.string(int.from_bytes(value, "big"))))

        return string_to_wire
    if field.kind in (EXACT, OPTIONAL):
        prefixes = value_prefixes(field)
        omit = zeros if field.kind == OPTIONAL else None

        def value_to_wire(value: bytes, mask: bytes) -> bytes:
            if mask == omit:
                return b""
            value = value.lstrip(b"\0") or b"\0"
            return prefixes[len(value)] + value

        return value_to_wire
    if field.kind == LPM:
        by_mask = {}
        prefixes_by_tail = {size: value_prefixes(field, following=size) for size in (2, 3)}
        for length in range(1, field.bitwidth + 1):
            mask = field.ones >> (field.bitwidth - length) << (field.bitwidth - length)
            tail = wire.varint_field(_PREFIX_LENGTH, length)
            by_mask[mask.to_bytes(field.size, "big")] = (prefixes_by_tail[len(tail)], tail)
        find = by_mask.get

        def lpm_to_wire(value: bytes, mask: bytes) -> bytes:
            found = find(mask)
            if found is None:  # all zeros
                return b""
            value = value.lstrip(b"\0") or b"\0"
            prefixes, tail = found
            return prefixes[len(value)] + value + tail

        return lpm_to_wire
    everything = (zeros, ones) if field.kind == RANGE else None

    def pair_to_wire(value: bytes, mask: bytes) -> bytes:
        if (value, mask) == everything or (everything is None and mask == zeros):
            return b""
        return wrap(
            wire.bytes_field(1, value.lstrip(b"\0") or b"\0") + wire.bytes_field(2, mask.lstrip(b"\0") or b"\0")
        )

    return pair_to_wire
