"""What is odd about a table's entries, though not wrong: order, masks, entries that are never reached (section 14.2.1.4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from p4compiler.diagnostics import Diagnostics, Kind, Note
from p4compiler.syntax import ast

Numbers = Callable[[ast.Expression], int | None]
"""The compile-time number of an expression, if it has one."""
MAX_MASKS = 64
"""So many different combinations of masks are compared with every entry."""
ALL_BITS = -1
MAX_NOTES = 3


def warn_of_priorities(
    entries: Sequence[ast.TableEntry], priorities: Sequence[int], largest_wins: bool, to: Diagnostics
) -> None:
    """Entries with equal priorities, and the first one that stands above a more important one."""
    by_priority: dict[int, list[ast.TableEntry]] = {}
    ordered = True
    for index, (entry, priority) in enumerate(zip(entries, priorities, strict=True)):
        by_priority.setdefault(priority, []).append(entry)
        before = priorities[index - 1] if index else priority
        if ordered and (priority > before if largest_wins else priority < before):
            ordered = False
            above = entries[index - 1]
            message = f"this entry has priority {before} and stands above one that goes before it, with {priority}"
            to.warning(Kind.ENTRIES_OUT_OF_ORDER, message, above.span, [Note("the one below", entry.span)])
    for priority, same in by_priority.items():
        if len(same) > 1:
            notes = [Note("another one", entry.span) for entry in same[1 : 1 + MAX_NOTES]]
            to.warning(Kind.DUPLICATE_PRIORITIES, f"{len(same)} entries have priority {priority}", same[0].span, notes)


def warn_of_masked_bits(key: ast.TableKey, element: ast.Expression, number: Numbers, to: Diagnostics) -> None:
    """A value with bits where its mask has none: P4Runtime has zeros there."""
    if not isinstance(element, ast.Binary) or element.operator is not ast.BinaryOperator.MASK:
        return
    value, mask = number(element.left), number(element.right)
    if key.match_kind.text in ("ternary", "lpm") and value is not None and mask is not None and value & ~mask:
        message = (
            f"{value:#x} has bits that the mask {mask:#x} leaves out; {value & mask:#x} is used, as P4Runtime asks"
        )
        to.warning(Kind.MISMATCH, message, element.left.span)


def warn_of_covered_entries(
    keys: Sequence[ast.TableKey], entries: Sequence[ast.TableEntry], number: Numbers, to: Diagnostics
) -> None:
    """Entries, most important first, that never match because an earlier one always does."""
    maskable = [key.match_kind.text in ("ternary", "optional") for key in keys]
    if not any(maskable):
        return
    # For each combination of masks, the entries that have it, by what is left of their values.
    known: dict[tuple[int, ...], dict[tuple[object, ...], ast.TableEntry]] = {}
    for entry in entries:
        parts = [_value_and_mask(element, number) for element in _elements(entry)]
        if any(part is None for part in parts) or len(parts) != len(keys):
            continue
        values = [part[0] for part in parts if part is not None]
        masks = tuple(part[1] for part in parts if part is not None)
        covering = next(
            (
                found
                for other, by_value in known.items()
                if _is_covered(other, masks, maskable)
                and (found := by_value.get(_masked(values, masks, other, maskable))) is not None
            ),
            None,
        )
        if covering is not None:
            notes = [Note("this one comes first", covering.keys.span)]
            to.warning(Kind.KEYS, "an entry before this one matches all that it does", entry.keys.span, notes)
        elif masks in known or len(known) < MAX_MASKS:
            known.setdefault(masks, {}).setdefault(_masked(values, masks, masks, maskable), entry)


def _elements(entry: ast.TableEntry) -> tuple[ast.Expression, ...]:
    return entry.keys.elements if isinstance(entry.keys, ast.TupleSet) else (entry.keys,)


def _value_and_mask(element: ast.Expression, number: Numbers) -> tuple[int, int] | None:
    if isinstance(element, ast.DefaultLiteral | ast.DontCare):
        return (0, 0)
    if isinstance(element, ast.Binary) and element.operator is ast.BinaryOperator.MASK:
        value, mask = number(element.left), number(element.right)
        return None if value is None or mask is None else (value & mask, mask)
    value = number(element)
    return None if value is None else (value, ALL_BITS)


def _is_covered(earlier: tuple[int, ...], later: tuple[int, ...], maskable: Sequence[bool]) -> bool:
    """The earlier masks look at no bit that the later ones leave out; keys that have no masks must have the same."""
    return all(
        one & other == one if may_differ else one == other
        for one, other, may_differ in zip(earlier, later, maskable, strict=True)
    )


def _masked(
    values: Sequence[int], masks: Sequence[int], other: Sequence[int], maskable: Sequence[bool]
) -> tuple[object, ...]:
    """The values seen through the other masks; as they are where keys have no masks."""
    return tuple(
        value & mask if may_differ else (value, own)
        for value, own, mask, may_differ in zip(values, masks, other, maskable, strict=True)
    )
