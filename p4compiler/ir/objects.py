"""The objects that a control plane sees (and the hidden ones beside them): tables, actions, externs, value sets.

Their `name` is the control plane's: fully qualified, `@name` obeyed.
"""

from __future__ import annotations

from enum import Enum
from typing import final

from p4compiler.ir.annotations import Annotation
from p4compiler.ir.data_types import DataType
from p4compiler.ir.expressions import Expression, Parameter
from p4compiler.ir.statements import Block, HashAlgorithm
from p4compiler.node import node
from p4compiler.source import Span


@node
class ControlPlaneObject:
    """`id`: from an `@id` annotation. `hidden`: not for the control plane (`@hidden`, or made by the compiler)."""

    span: Span
    name: str
    annotations: tuple[Annotation, ...]
    hidden: bool


# -- actions


@final
@node
class ActionParameter:
    """A parameter as the control plane sees it; `value` is what the body refers to."""

    name: str
    data_type: DataType
    annotations: tuple[Annotation, ...]
    value: Parameter


@final
@node
class Action(ControlPlaneObject):
    parameters: tuple[ActionParameter, ...]
    body: Block


# -- tables


class MatchKind(Enum):
    EXACT = "exact"
    LPM = "lpm"
    TERNARY = "ternary"
    RANGE = "range"
    OPTIONAL = "optional"
    SELECTOR = "selector"


@final
@node
class Key:
    """One field of a table's key; the P4Info name of a selector field does not matter."""

    span: Span
    expression: Expression
    match_kind: MatchKind
    name: str
    data_type: DataType
    annotations: tuple[Annotation, ...]


@final
@node
class ActionReference:
    """An action in a table's list, with the annotations that stand there."""

    action: Action
    annotations: tuple[Annotation, ...]


@final
@node
class ActionCall:
    """An action with all its arguments."""

    action: Action
    arguments: tuple[int, ...]


@final
@node
class KeySet:
    """What a key field of a constant entry matches: `value` under `mask`, or from `value` to `high`.

    A mask of None and a high of None is an exact match; `any` matches everything.
    """

    value: int
    mask: int | None = None
    high: int | None = None
    any: bool = False


@final
@node
class Entry:
    """An entry of the program. A lower `priority` wins, as in BMv2's JSON; `runtime_priority` is P4Runtime's."""

    span: Span
    keys: tuple[KeySet, ...]
    call: ActionCall
    priority: int
    runtime_priority: int
    is_const: bool


@final
@node
class Table(ControlPlaneObject):
    """`size` is what P4Info says; `entries` None if the program has no entries list."""

    keys: tuple[Key, ...]
    actions: tuple[ActionReference, ...]
    default: ActionCall | None
    default_is_const: bool
    size: int
    entries: tuple[Entry, ...] | None
    entries_are_const: bool
    profile: ActionProfile | None
    direct_counter: DirectCounter | None
    direct_meter: DirectMeter | None
    support_timeout: bool


# -- externs


@final
@node
class ActionProfile(ControlPlaneObject):
    """`algorithm`: of an action selector; None for a plain action profile."""

    size: int
    algorithm: HashAlgorithm | None


class CounterUnit(Enum):
    PACKETS = "packets"
    BYTES = "bytes"
    BOTH = "packets_and_bytes"


class MeterUnit(Enum):
    PACKETS = "packets"
    BYTES = "bytes"


@final
@node
class Counter(ControlPlaneObject):
    """`index_type`: the name of the new type that indexes it, if one does."""

    size: int
    unit: CounterUnit
    index_type: DataType | None


@final
@node
class DirectCounter(ControlPlaneObject):
    unit: CounterUnit


@final
@node
class Meter(ControlPlaneObject):
    size: int
    unit: MeterUnit
    index_type: DataType | None


@final
@node
class DirectMeter(ControlPlaneObject):
    unit: MeterUnit


@final
@node
class Register(ControlPlaneObject):
    size: int
    data_type: DataType
    index_type: DataType | None


@final
@node
class ExternObject(ControlPlaneObject):
    """An object of a type that v1model does not have; `attributes` are its constructor's arguments by name."""

    type_name: str
    attributes: tuple[tuple[str, int | str], ...]


@final
@node
class DigestList(ControlPlaneObject):
    """What `digest` sends; named by its type."""

    data_type: DataType


@final
@node
class ValueSetField:
    """`name` is empty where the set is of plain bits."""

    name: str
    width: int
    match_kind: MatchKind
    annotations: tuple[Annotation, ...]


@final
@node
class ValueSet(ControlPlaneObject):
    """A parser's value set; `width` is that of a member, `data_type` its type as the control plane would see it."""

    size: int
    width: int
    fields: tuple[ValueSetField, ...]
    data_type: DataType


@final
@node
class ControllerHeaderField:
    name: str
    data_type: DataType
    annotations: tuple[Annotation, ...]
    hidden: bool


@final
@node
class ControllerHeader(ControlPlaneObject):
    """A header with `@controller_header`; `name` is the type's, `controller_name` the annotation's (`packet_in`)."""

    controller_name: str
    fields: tuple[ControllerHeaderField, ...]
