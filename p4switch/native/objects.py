"""What Python knows of a loaded program's objects: their numbers in C, and the sizes of packed keys and arguments."""

from __future__ import annotations

import ctypes as c
from collections.abc import Collection
from dataclasses import dataclass

from p4switch.bmv2 import model
from p4switch.codegen.algorithms import hashes_with_state
from p4switch.codegen.program import value_set_bytes
from p4switch.codegen.tables import action_names, action_of, profile_actions, table_kind
from p4switch.dataplane import (
    Action,
    Attributes,
    DataplaneError,
    GroupRef,
    Match,
    MemberRef,
    MeterConfig,
    Status,
    TableAction,
)
from p4switch.native.library import CounterStruct, KeptArrayStruct, MeterConfigStruct, Target

_KINDS = {Action: 0, MemberRef: 1, GroupRef: 2}


_TWO_RATES, _SINGLE_RATE = 1, 2
_MAX_INT64 = (1 << 63) - 1


def meter_struct(config: MeterConfig) -> MeterConfigStruct:
    """The configuration as the runtime takes it."""
    peak = config.eburst if config.single_rate else config.pburst
    written = (config.cir, config.cburst, config.pir, config.pburst, config.eburst)
    return MeterConfigStruct(
        _SINGLE_RATE if config.single_rate else _TWO_RATES,
        (c.c_double * 2)(config.cir / 1e6, config.pir / 1e6),
        (c.c_uint64 * 2)(config.cburst, peak),
        (c.c_int64 * 5)(*(min(round(value), _MAX_INT64) for value in written)),
    )


def _arg_bytes(action: model.Action) -> int:
    return sum((param.width + 7) // 8 for param in action.params)


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table. `actions` numbers those that an entry (or the default) can name itself."""

    name: str
    number: int
    size: int
    key_bytes: int
    masked: bool
    prioritised: bool
    counters: bool
    meter: bool
    timeouts: bool
    immutable: bool
    profile: str | None
    actions: dict[str, int]
    action_names: tuple[str, ...]
    arg_bytes: dict[str, int]
    widths: tuple[int, ...]

    @property
    def max_arg_bytes(self) -> int:
        return max(self.arg_bytes.values(), default=0)

    def check_match(self, match: Match) -> None:
        if len(match.value) != self.key_bytes:
            self._refuse(f"the key has {len(match.value)} bytes, not {self.key_bytes}")
        if self.masked and len(match.mask) != self.key_bytes:
            self._refuse(f"the mask has {len(match.mask)} bytes, not {self.key_bytes}")
        if self.prioritised and not 0 < match.priority < 1 << 31:
            self._refuse(f"the priority {match.priority} is not between 1 and 2147483647")
        if not self.prioritised and match.priority != 0:
            self._refuse("it has no ternary, range or optional field, so its entries have no priority")

    def mask(self, match: Match) -> bytes | None:
        return match.mask if self.masked else None

    def _refuse(self, problem: str) -> None:
        raise DataplaneError(Status.INVALID_ARGUMENT, f"table {self.name!r}: {problem}")

    def target(self, action: TableAction) -> Target:
        """What an entry does: an action, or for a table with a profile a member or group."""
        if self.profile is not None and isinstance(action, Action):
            self._refuse("its entries name members or groups of its action profile, not actions")
        return self.default_target(action)

    def default_target(self, action: TableAction) -> Target:
        if isinstance(action, Action):
            if action.name not in self.actions:
                self._refuse(f"it has no action {action.name!r}")
            if len(action.args) != self.arg_bytes[action.name]:
                self._refuse(
                    f"action {action.name!r} takes {self.arg_bytes[action.name]} bytes of arguments, "
                    f"not {len(action.args)}"
                )
            return Target(0, self.actions[action.name], action.args)
        if self.profile is None:
            self._refuse("it has no action profile, so no members and groups")
        ident = action.member_id if isinstance(action, MemberRef) else action.group_id
        return Target(_KINDS[type(action)], ident, None)

    def attach(self, target: Target, attributes: Attributes) -> None:
        """Add what an entry carries beside its action."""
        if attributes.counter is not None:
            if not self.counters:
                self._refuse("it has no direct counter")
            target.counter = c.pointer(CounterStruct(attributes.counter.packets, attributes.counter.bytes))
        if attributes.meter is not None:
            if not self.meter:
                self._refuse("it has no direct meter")
            target.meter = c.pointer(meter_struct(attributes.meter))
        if attributes.idle_timeout_ns and not self.timeouts:
            self._refuse("its entries have no timeouts")
        target.note = attributes.note
        target.note_length = len(attributes.note)
        target.idle_timeout_ns = attributes.idle_timeout_ns

    def const_match(self, entry: model.ConstEntry, priority: int) -> Match:
        """The packed match of a constant entry."""
        value = b"".join(
            field.value.to_bytes((width + 7) // 8, "big") for field, width in zip(entry.match, self.widths, strict=True)
        )
        mask = b"".join(
            field.mask.to_bytes((width + 7) // 8, "big") for field, width in zip(entry.match, self.widths, strict=True)
        )
        return Match(value, mask if self.masked else b"", priority if self.prioritised else 0)

    def const_matches(self, table: model.Table) -> list[Match]:
        """The matches of the constant entries. The JSON's lower number wins, P4Runtime's higher one."""
        top = max((entry.priority for entry in table.entries), default=0) + 1
        return [self.const_match(entry, top - entry.priority) for entry in table.entries]


@dataclass(frozen=True, slots=True)
class ProfileInfo:
    """An action profile. `action_names` is in the order of the numbers in C."""

    name: str
    number: int
    size: int
    selector: bool
    action_names: tuple[str, ...]
    arg_bytes: dict[str, int]

    def check_action(self, action: Action) -> int:
        """The number of a member's action."""
        if action.name not in self.arg_bytes:
            raise DataplaneError(Status.INVALID_ARGUMENT, f"action profile {self.name!r} has no action {action.name!r}")
        if len(action.args) != self.arg_bytes[action.name]:
            raise DataplaneError(
                Status.INVALID_ARGUMENT,
                f"action profile {self.name!r}: action {action.name!r} takes {self.arg_bytes[action.name]} bytes of "
                f"arguments, not {len(action.args)}",
            )
        return self.action_names.index(action.name)


class Objects:
    """All objects of one program, by name."""

    def __init__(self, program: model.Program) -> None:
        self.program = program
        self.tables: dict[str, TableInfo] = {}
        for number, table in enumerate(program.tables()):
            self.tables[table.name] = _table_info(program, number, table)
        self.profiles: dict[str, ProfileInfo] = {}
        for number, profile in enumerate(program.profiles.values()):
            names = profile_actions(program, profile.name)
            sizes: dict[str, int] = {}
            for table in program.tables():
                for name in names:
                    action = action_of(program, table, name)
                    if table.profile == profile.name and action is not None:
                        sizes[name] = _arg_bytes(action)
            self.profiles[profile.name] = ProfileInfo(
                profile.name, number, profile.size, profile.selector is not None, tuple(names), sizes
            )
        self.registers = {item.name: (number, item.size) for number, item in enumerate(program.registers.values())}
        self.counters = {item.name: (number, item.size) for number, item in enumerate(program.counters.values())}
        self.meters = {item.name: (number, item.size) for number, item in enumerate(program.meters.values())}
        self.value_sets = {
            name: (number, value_set_bytes(program, name)) for number, name in enumerate(program.value_sets)
        }
        self.digests = [item.name for item in program.digests.values()]

    def hash_number(self, calculation: str) -> int:
        """The number in C of a calculation's hash, which has parameters."""
        numbers = [item.key for item in hashes_with_state(self.program)]
        if calculation not in numbers:
            raise DataplaneError(Status.NOT_FOUND, f"there is no calculation {calculation!r} with parameters")
        return numbers.index(calculation)

    def pack_args(self, call: model.ActionCallSpec) -> bytes:
        """The packed arguments of an action with constant arguments."""
        params = self.program.actions[call.action_id].params
        return b"".join(
            value.to_bytes((param.width + 7) // 8, "big") for value, param in zip(call.args, params, strict=True)
        )


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


def kept_arrays(old: Objects, new: Objects, names: Collection[str]) -> list[KeptArrayStruct]:
    """The arrays of these names, which both programs have in the same shape.

    Raises:
        DataplaneError: INVALID_ARGUMENT; they do not.
    """
    kept = []
    for name in names:
        for kind, (before, after, shape) in enumerate(
            (
                (old.registers, new.registers, _register_shape),
                (old.counters, new.counters, _counter_shape),
                (old.meters, new.meters, _meter_shape),
            )
        ):
            if name in before and name in after and shape(old, name) == shape(new, name):
                kept.append(KeptArrayStruct(kind, before[name][0], after[name][0]))
                break
        else:
            raise DataplaneError(
                Status.INVALID_ARGUMENT, f"{name!r} is not an array of the same shape in both programs"
            )
    return kept


def _register_shape(objects: Objects, name: str) -> tuple[int, ...]:
    register = objects.program.registers[name]
    return register.size, register.width


def _counter_shape(objects: Objects, name: str) -> tuple[int, ...]:
    return (objects.program.counters[name].size,)


def _meter_shape(objects: Objects, name: str) -> tuple[int, ...]:
    meter = objects.program.meters[name]
    return meter.size, meter.rates, meter.per_byte, meter.table is None
