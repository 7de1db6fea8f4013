"""What Python knows of a loaded program's objects: their numbers in C, and the sizes of packed keys and arguments."""

from __future__ import annotations

import ctypes as c
from collections.abc import Collection
from typing import TYPE_CHECKING

import msgspec

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

if TYPE_CHECKING:
    from p4switch.bmv2 import model

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


class TableInfo(msgspec.Struct, frozen=True):
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


class ProfileInfo(msgspec.Struct, frozen=True):
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


class Installed(msgspec.Struct, frozen=True):
    """What the program itself puts into a table: an entry, or with no match the default action. `args` are packed."""

    table: int
    action: int
    args: bytes
    match: Match | None = None


class Description(msgspec.Struct, frozen=True):
    """Everything about a program that running it takes beside its C; plain data, so that it can be kept.

    Arrays have a number and a size; `shapes` say of a register, counter or meter what must be alike for another program to go on
    with its cells. A register's cell has bits and bytes. Value sets have a number and the bytes of a member. `sealed` are the constancy of each table's
    entries and default action.
    """

    name: str
    tables: dict[str, TableInfo]
    profiles: dict[str, ProfileInfo]
    registers: dict[str, tuple[int, int]]
    counters: dict[str, tuple[int, int]]
    meters: dict[str, tuple[int, int]]
    shapes: tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]
    cells: dict[str, tuple[int, int]]
    value_sets: dict[str, tuple[int, int]]
    digests: tuple[str, ...]
    hashes: tuple[str, ...]
    installed: tuple[Installed, ...]
    sealed: tuple[tuple[bool, bool], ...]


class Objects:
    """All objects of one program, by name.

    Args:
        config: the program's JSON.
        program: the JSON as it was read, if it was.
    """

    def __init__(self, config: bytes, description: Description, program: model.Program | None = None) -> None:
        self._config = config
        self._program = program
        self.description = description
        self.name = description.name
        self.tables = description.tables
        self.profiles = description.profiles
        self.registers = description.registers
        self.counters = description.counters
        self.meters = description.meters
        self.value_sets = description.value_sets
        self.digests = description.digests

    @property
    def program(self) -> model.Program:
        """The whole program. A program that was seen before is read when this is first asked for."""
        if self._program is None:
            from p4switch.bmv2.loader import load

            self._program = load(self._config)
        return self._program

    def hash_number(self, calculation: str) -> int:
        """The number in C of a calculation's hash, which has parameters."""
        if calculation not in self.description.hashes:
            raise DataplaneError(Status.NOT_FOUND, f"there is no calculation {calculation!r} with parameters")
        return self.description.hashes.index(calculation)


def kept_arrays(old: Objects, new: Objects, names: Collection[str]) -> list[KeptArrayStruct]:
    """The arrays of these names, which both programs have in the same shape.

    Raises:
        DataplaneError: INVALID_ARGUMENT; they do not.
    """
    kept = []
    before, after = ((item.registers, item.counters, item.meters) for item in (old, new))
    for name in names:
        for kind, (old_shapes, new_shapes) in enumerate(
            zip(old.description.shapes, new.description.shapes, strict=True)
        ):
            if name in old_shapes and old_shapes[name] == new_shapes.get(name):
                kept.append(KeptArrayStruct(kind, before[kind][name][0], after[kind][name][0]))
                break
        else:
            raise DataplaneError(
                Status.INVALID_ARGUMENT, f"{name!r} is not an array of the same shape in both programs"
            )
    return kept
