"""The whole program in IR: a v1model switch with everything instantiated and inlined."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from p4compiler.ir.annotations import Annotation
from p4compiler.ir.expressions import Expression
from p4compiler.ir.objects import (
    Action,
    ActionProfile,
    ControllerHeader,
    Counter,
    DigestList,
    DirectCounter,
    DirectMeter,
    ExternObject,
    Meter,
    Register,
    Table,
    ValueSet,
)
from p4compiler.ir.statements import Block
from p4compiler.ir.storage import Header, HeaderStack, HeaderUnion, Variable
from p4compiler.node import node
from p4compiler.source import Span

# -- parsers


@final
@node
class Pattern:
    """What one key of a select must be: `value` under `mask`; a mask of None means all bits."""

    value: int
    mask: int | None = None


@final
@node
class SelectCase:
    """A case with a pattern for each key; `target` None is accept."""

    span: Span
    patterns: tuple[Pattern, ...]
    target: str | None


@final
@node
class ValueSetCase:
    """Matches if the keys are a member of the value set."""

    span: Span
    value_set: ValueSet
    target: str | None


@final
@node
class Transition:
    """Where to go after a state: the first case that matches, else accept.

    A transition without keys has one case without patterns.
    """

    span: Span
    keys: tuple[Expression, ...]
    cases: tuple[SelectCase | ValueSetCase, ...]


@final
@node
class ParserState:
    """Straight-line statements, then a transition."""

    span: Span
    name: str
    body: Block
    transition: Transition


@final
@node
class Parser:
    """The first state is where it starts."""

    span: Span
    name: str
    states: tuple[ParserState, ...]


# -- controls


@final
@node
class Control:
    """The body of one of the five controls; `name` is that of its declaration."""

    span: Span
    name: str
    body: Block


# -- everything


@final
@node
class EnumValues:
    """An enum without representation, and the numbers its members got."""

    name: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Storage:
    """Everything that holds a value, in the order of declaration. Elements of stacks and unions are not in `headers`."""

    variables: tuple[Variable, ...]
    headers: tuple[Header, ...]
    stacks: tuple[HeaderStack, ...]
    unions: tuple[HeaderUnion, ...]


@dataclass(frozen=True, slots=True)
class Objects:
    """The control plane's objects in the order in which P4Info lists them; hidden ones too."""

    tables: tuple[Table, ...] = ()
    actions: tuple[Action, ...] = ()
    action_profiles: tuple[ActionProfile, ...] = ()
    counters: tuple[Counter, ...] = ()
    direct_counters: tuple[DirectCounter, ...] = ()
    meters: tuple[Meter, ...] = ()
    direct_meters: tuple[DirectMeter, ...] = ()
    registers: tuple[Register, ...] = ()
    externs: tuple[ExternObject, ...] = ()
    digests: tuple[DigestList, ...] = ()
    value_sets: tuple[ValueSet, ...] = ()
    controller_headers: tuple[ControllerHeader, ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """A program for the v1model architecture. Passes make a new one with `dataclasses.replace`."""

    file: str
    """The path of the source, as given."""
    package_annotations: tuple[Annotation, ...]
    parser: Parser
    verify_checksum: Control
    ingress: Control
    egress: Control
    compute_checksum: Control
    deparser: Control
    storage: Storage
    objects: Objects
    errors: tuple[str, ...] = ()
    enums: tuple[EnumValues, ...] = field(default=())
