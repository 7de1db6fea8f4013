"""The program's table entries as a P4Runtime WriteRequest."""

from __future__ import annotations

from p4compiler.backends.p4info import messages as m
from p4compiler.backends.p4info.symbols import Prefix, Symbols
from p4compiler.backends.p4info.types import value_bytes
from p4compiler.ir import objects as ob
from p4compiler.ir.program import Program
from p4compiler.ir.types import width_of

_PRIORITIZED = frozenset({ob.MatchKind.TERNARY, ob.MatchKind.RANGE, ob.MatchKind.OPTIONAL})


def generate_entries(program: Program, symbols: Symbols) -> m.WriteRequest:
    """One INSERT for each entry, tables and entries in the program's order."""
    request = m.WriteRequest()
    for table in program.objects.tables:
        keys = [key for key in table.keys if key.match_kind is not ob.MatchKind.SELECTOR]
        prioritized = any(key.match_kind in _PRIORITIZED for key in keys)
        for entry in table.entries or ():
            matches = [
                _match(number, key, keyset)
                for number, (key, keyset) in enumerate(zip(keys, entry.keys, strict=True), 1)
            ]
            table_entry = m.TableEntry(
                symbols.id_of(Prefix.TABLE, table.name),
                [match for match in matches if match is not None],
                m.TableAction(_action(entry.call, symbols)),
                entry.runtime_priority if prioritized else 0,
                entry.is_const,
            )
            request.updates.append(m.Update(m.UpdateType.INSERT, m.Entity(table_entry)))
    return request


def _action(call: ob.ActionCall, symbols: Symbols) -> m.RuntimeAction:
    params = []
    for number, (parameter, value) in enumerate(zip(call.action.parameters, call.arguments, strict=True), 1):
        size = (width_of(parameter.value.type) + 7) // 8
        params.append(m.RuntimeParam(number, value_bytes(value, size)))
    return m.RuntimeAction(symbols.id_of(Prefix.ACTION, call.action.name), params)


def _match(number: int, key: ob.Key, keyset: ob.KeySet) -> m.FieldMatch | None:
    """None where everything matches: P4Runtime leaves such a field out."""
    width = width_of(key.expression.type)
    size, ones = (width + 7) // 8, (1 << width) - 1

    def data(value: int) -> bytes:
        return value_bytes(value & ones, size)

    if key.match_kind is ob.MatchKind.EXACT:
        return m.FieldMatch(number, exact=m.ExactMatch(data(keyset.value)))
    mask = ones if keyset.mask is None else keyset.mask & ones
    if keyset.any or mask == 0:
        return None
    match key.match_kind:
        case ob.MatchKind.LPM:
            return m.FieldMatch(number, lpm=m.LpmMatch(data(keyset.value & mask), mask.bit_count()))
        case ob.MatchKind.RANGE:
            high = keyset.value if keyset.high is None else keyset.high
            if keyset.value == 0 and high == ones:
                return None
            return m.FieldMatch(number, range=m.RangeMatch(data(keyset.value), data(high)))
        case ob.MatchKind.OPTIONAL:
            return m.FieldMatch(number, optional=m.ExactMatch(data(keyset.value)))
    return m.FieldMatch(number, ternary=m.TernaryMatch(data(keyset.value & mask), data(mask)))
