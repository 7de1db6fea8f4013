"""From a program to its `Description`."""

from __future__ import annotations

from collections.abc import Iterator

from p4switch.bmv2 import model
from p4switch.codegen.algorithms import hashes_with_state
from p4switch.codegen.program import register_stride, value_set_bytes
from p4switch.codegen.tables import action_names, action_of, profile_actions, table_kind
from p4switch.dataplane import DataplaneError, Match, Status
from p4switch.native.objects import Description, Installed, ProfileInfo, TableInfo


def describe(program: model.Program) -> Description:
    """What running `program` takes beside its C.

    Raises:
        DataplaneError: INVALID_ARGUMENT; a constant entry names an action that is not its table's.
    """
    tables = {table.name: _table_info(program, number, table) for number, table in enumerate(program.tables())}
    registers, counters, meters = program.registers.values(), program.counters.values(), program.meters.values()
    return Description(
        name=program.name,
        tables=tables,
        profiles={
            profile.name: _profile_info(program, number, profile)
            for number, profile in enumerate(program.profiles.values())
        },
        registers={item.name: (number, item.size) for number, item in enumerate(registers)},
        counters={item.name: (number, item.size) for number, item in enumerate(counters)},
        meters={item.name: (number, item.size) for number, item in enumerate(meters)},
        shapes=(
            {item.name: (item.size, item.width) for item in registers},
            {item.name: (item.size,) for item in counters},
            {item.name: (item.size, item.rates, int(item.per_byte), int(item.table is None)) for item in meters},
        ),
        cells={item.name: (item.width, register_stride(item.width)) for item in registers},
        value_sets={name: (number, value_set_bytes(program, name)) for number, name in enumerate(program.value_sets)},
        digests=tuple(item.name for item in program.digests.values()),
        hashes=tuple(item.key for item in hashes_with_state(program)),
        installed=tuple(item for table in program.tables() for item in _installed(program, table, tables[table.name])),
        sealed=tuple((table.immutable, table.default_const) for table in program.tables()),
    )


def _arg_bytes(action: model.Action) -> int:
    return sum((param.width + 7) // 8 for param in action.params)


def _table_info(program: model.Program, number: int, table: model.Table) -> TableInfo:
    names = action_names(program, table)
    sizes = {name: _arg_bytes(action) for name in names if (action := action_of(program, table, name)) is not None}
    kind = table_kind(table)
    return TableInfo(
        name=table.name,
        number=number,
        size=table.size,
        key_bytes=sum((field.width + 7) // 8 for field in table.key),
        masked=bool(table.key) and kind is not model.MatchKind.EXACT,
        prioritised=bool(table.key) and kind in (model.MatchKind.TERNARY, model.MatchKind.RANGE),
        counters=table.with_counters,
        meter=table.meter is not None,
        timeouts=table.support_timeout,
        immutable=table.immutable,
        profile=table.profile,
        actions={name: index for index, name in enumerate(names)},
        action_names=tuple(names),
        arg_bytes=sizes,
        widths=tuple(field.width for field in table.key),
    )


def _profile_info(program: model.Program, number: int, profile: model.ActionProfile) -> ProfileInfo:
    names = profile_actions(program, profile.name)
    sizes: dict[str, int] = {}
    for table in program.tables():
        for name in names:
            action = action_of(program, table, name)
            if table.profile == profile.name and action is not None:
                sizes[name] = _arg_bytes(action)
    return ProfileInfo(profile.name, number, profile.size, profile.selector is not None, tuple(names), sizes)


def _installed(program: model.Program, table: model.Table, info: TableInfo) -> Iterator[Installed]:
    """The default action and the constant entries. The JSON's lower number wins, P4Runtime's higher one."""
    if table.default is not None:
        name = program.actions[table.default.action_id].name
        yield Installed(info.number, info.actions[name], _pack_args(program, table.default))
    top = max((entry.priority for entry in table.entries), default=0) + 1
    for entry in table.entries:
        name = program.actions[entry.call.action_id].name
        if name not in info.actions:
            raise DataplaneError(
                Status.INVALID_ARGUMENT, f"table {table.name!r}: an entry names {name!r}, which is not its action"
            )
        value = _pack([field.value for field in entry.match], info.widths)
        mask = _pack([field.mask for field in entry.match], info.widths) if info.masked else b""
        match = Match(value, mask, top - entry.priority if info.prioritised else 0)
        yield Installed(info.number, info.actions[name], _pack_args(program, entry.call), match)


def _pack_args(program: model.Program, call: model.ActionCallSpec) -> bytes:
    """The packed arguments of an action with constant arguments."""
    return _pack(list(call.args), tuple(param.width for param in program.actions[call.action_id].params))


def _pack(values: list[int], widths: tuple[int, ...]) -> bytes:
    return b"".join(value.to_bytes((width + 7) // 8, "big") for value, width in zip(values, widths, strict=True))
