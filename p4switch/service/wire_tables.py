"""Tables for a data plane that takes P4Runtime's bytes itself (`p4switch.dataplane.WireDataplane`)."""

from __future__ import annotations

from collections.abc import Iterable

from p4switch.dataplane import Dataplane, WireAction, WireCodec, WireDataplane, WireTable, WireValue
from p4switch.service.match_plan import KIND_NUMBER
from p4switch.service.table_entry import Table


def make_codec(tables: Iterable[Table], dataplane: Dataplane) -> WireCodec | None:
    """The data plane's own way for the tables that have no need of the service; None if it has none."""
    if not isinstance(dataplane, WireDataplane):
        return None
    return dataplane.wire_codec([_wire_table(table) for table in tables if _is_plain(table)])


def _is_plain(table: Table) -> bool:
    """Whether the device's bytes are the controller's bytes."""
    return all(field.size > 0 and field.strings is None for field in table.match.fields) and not any(
        param.strings is not None or not param.size for plan in table.by_name.values() for param in plan.params
    )


def _wire_table(table: Table) -> WireTable:
    return WireTable(
        id=table.id,
        name=table.name,
        writable=table.profile is None and not table.const and bool(table.match.fields),
        constant=table.const,
        prioritised=table.match.has_priority,
        fields=tuple(
            WireValue(field.id, KIND_NUMBER[field.kind], field.bitwidth, field.offset, field.size)
            for field in table.match.fields
        ),
        actions=tuple(
            WireAction(
                id=plan.id,
                name=plan.name,
                in_entries=plan.id in table.actions,
                params=tuple(WireValue(p.id, 0, p.bitwidth, p.offset, p.size) for p in plan.params),
            )
            for plan in table.by_name.values()
        ),
    )
