"""Match-action tables, their constant entries, and action profiles."""

from __future__ import annotations

from p4compiler.backends.bmv2 import document as doc
from p4compiler.backends.bmv2.actions import plain_value
from p4compiler.backends.bmv2.context import Context
from p4compiler.backends.bmv2.expressions import simple_value
from p4compiler.backends.bmv2.values import Field, hex_string
from p4compiler.diagnostics import Kind
from p4compiler.ir import expressions as ex
from p4compiler.ir.objects import ActionCall, ActionProfile, Entry, Key, KeySet, MatchKind, Table
from p4compiler.ir.types import width_of
from p4compiler.source import Span

DEFAULT_TABLE_SIZE = 1024

_RANK = {
    MatchKind.EXACT: (0, "exact"),
    MatchKind.LPM: (1, "lpm"),
    MatchKind.TERNARY: (2, "ternary"),
    MatchKind.OPTIONAL: (2, "ternary"),
    MatchKind.RANGE: (3, "range"),
}
"""How much a key's match kind asks of the table; the table is of the kind that asks most."""


def generate_table(
    context: Context, table: Table, base_default_next: str | None, next_tables: dict[str, str | None]
) -> doc.Table:
    """The table with its successors, as the pipeline found them."""
    keys = [key for key in table.keys if key.match_kind is not MatchKind.SELECTOR]
    if sum(key.match_kind is MatchKind.LPM for key in keys) > 1:
        context.unsupported(f"table '{table.name}' has more than one lpm key", table.span)
    simple = table.profile is None
    default = None
    if table.default is not None:
        if simple:
            default = _default_entry(context, table.default, table.default_is_const)
        else:
            context.diagnostics.warning(
                Kind.UNSUPPORTED,
                f"the target does not support the default action of '{table.name}', which has an action profile",
                table.span,
            )
    entries = None
    if table.entries is not None:
        entries = [_entry(context, keys, entry) for entry in table.entries]
    return doc.Table(
        name=table.name,
        id=context.next_id("tables"),
        source_info=doc.SourceInfo.of(table.span),
        key=[_key(key) for key in keys],
        match_type=max((_RANK[key.match_kind] for key in keys), default=(0, "exact"))[1],
        type=_implementation(table.profile),
        action_profile=table.profile.name if table.profile else None,
        max_size=_max_size(table),
        with_counters=table.direct_counter is not None,
        support_timeout=table.support_timeout,
        direct_meters=table.direct_meter.name if table.direct_meter else None,
        action_ids=[context.action_ids[reference.action] for reference in table.actions],
        actions=[reference.action.name for reference in table.actions],
        base_default_next=base_default_next,
        next_tables=next_tables,
        default_entry=default,
        entries=entries,
    )


def _implementation(profile: ActionProfile | None) -> str:
    if profile is None:
        return "simple"
    return "indirect" if profile.algorithm is None else "indirect_ws"


def _max_size(table: Table) -> int:
    if table.entries:
        return len(table.entries)
    return table.size or DEFAULT_TABLE_SIZE


def _key(key: Key) -> doc.TableKey:
    match_type = "ternary" if key.match_kind is MatchKind.OPTIONAL else key.match_kind.value
    field, mask = masked_field(key.expression)
    width_bytes = (width_of(key.expression.type) + 7) // 8
    return doc.TableKey(match_type, key.name, field.reference, None if mask is None else hex_string(mask, width_bytes))


def masked_field(expression: ex.Expression) -> tuple[Field, int | None]:
    """The field of a key and the static mask on it.

    Raises:
        AssertionError: a pass has left something that is no key.
    """
    mask = None
    if isinstance(expression, ex.Binary) and isinstance(expression.right, ex.Constant):
        mask, expression = expression.right.value, expression.left
    value = simple_value(expression, {})
    assert isinstance(value, Field), "a table key must be a field"
    return value, mask


def _default_entry(context: Context, call: ActionCall, is_const: bool) -> doc.DefaultEntry:
    return doc.DefaultEntry(context.action_ids[call.action], is_const, _action_data(call), is_const)


def _action_data(call: ActionCall) -> list[str]:
    """The arguments as the control plane would give them: bits, which have no sign."""
    widths = (width_of(parameter.value.type) for parameter in call.action.parameters)
    return [hex_string(value & (1 << width) - 1) for value, width in zip(call.arguments, widths, strict=True)]


def _entry(context: Context, keys: list[Key], entry: Entry) -> doc.TableEntry:
    return doc.TableEntry(
        doc.SourceInfo.of(entry.span),
        [_match_key(context, key, keyset, entry.span) for key, keyset in zip(keys, entry.keys, strict=True)],
        doc.ActionEntry(context.action_ids[entry.call.action], _action_data(entry.call)),
        entry.priority,
    )


def _match_key(context: Context, key: Key, keyset: KeySet, span: Span) -> doc.MatchKey:
    width = width_of(key.expression.type)
    size = (width + 7) // 8
    ones = (1 << width) - 1
    value = keyset.value & ones
    match key.match_kind:
        case MatchKind.EXACT:
            return doc.MatchKey("exact", key=hex_string(value, size))
        case MatchKind.LPM:
            mask = 0 if keyset.any else ones if keyset.mask is None else keyset.mask & ones
            prefix = mask.bit_count()
            if mask != ones & ~(ones >> prefix):
                context.diagnostics.error(Kind.INVALID, f"the mask 0x{mask:x} of an LPM key is no prefix", key.span)
            return doc.MatchKey("lpm", key=hex_string(value & mask, size), prefix_length=prefix)
        case MatchKind.RANGE:
            low, high = (0, ones) if keyset.any else (value, value if keyset.high is None else keyset.high & ones)
            if low > high:  # the target, and P4Runtime, compare bits
                context.unsupported("a range of a signed key cannot cross zero on this target", span)
            return doc.MatchKey("range", start=hex_string(low, size), end=hex_string(high, size))
        case _:
            mask = 0 if keyset.any else ones if keyset.mask is None else keyset.mask & ones
            return doc.MatchKey("ternary", key=hex_string(value & mask, size), mask=hex_string(mask, size))


def generate_action_profile(context: Context, profile: ActionProfile, table: Table) -> doc.ActionProfile:
    """The profile as its first table uses it: a selector's input are the `selector` keys of that table."""
    selector = None
    if profile.algorithm is not None:
        inputs = [plain_value(key.expression) for key in table.keys if key.match_kind is MatchKind.SELECTOR]
        selector = doc.Selector(profile.algorithm.value, inputs)
    return doc.ActionProfile(
        profile.name,
        context.next_id("action_profiles"),
        doc.SourceInfo.of(profile.span),
        profile.size,
        selector,
    )
