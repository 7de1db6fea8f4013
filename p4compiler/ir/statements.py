"""The statements of the IR.

Control flow is structured: `If`, `Loop`, and `Region` with `Leave` for everything else (return, break, continue). A statement
that only a parser, a deparser or one of the checksum controls may hold says so.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, final

from p4compiler.ir.expressions import Expression, FieldValue, HeaderReference, VariableValue
from p4compiler.ir.storage import HeaderStack
from p4compiler.node import node
from p4compiler.source import Span

if TYPE_CHECKING:
    from p4compiler.ir.objects import Action, Counter, DirectCounter, DirectMeter, ExternObject, Meter, Register, Table

Target = VariableValue | FieldValue
"""What can be assigned."""

Block = tuple["Statement", ...]


@node
class Statement:
    span: Span


# -- values and headers


@final
@node
class Assign(Statement):
    target: Target
    value: Expression


@final
@node
class CopyHeader(Statement):
    """All fields and the validity."""

    target: HeaderReference
    source: HeaderReference


@final
@node
class CopyStack(Statement):
    target: HeaderStack
    source: HeaderStack


@final
@node
class SetValid(Statement):
    """`setValid()` or, with False, `setInvalid()`."""

    header: HeaderReference
    valid: bool


@final
@node
class ShiftStack(Statement):
    """`push_front(count)`, or `pop_front(count)` with `push` False."""

    stack: HeaderStack
    count: int
    push: bool


# -- control flow


@node
class Label:
    """A place to leave to: the end of the region or loop that holds it."""

    name: str


@final
@node
class Region(Statement):
    """A body whose end `Leave(label)` goes to."""

    label: Label
    body: Block


@final
@node
class Leave(Statement):
    """Go on after the enclosing region or loop with that label."""

    label: Label


@final
@node
class Loop(Statement):
    """The body over and over, until a `Leave(label)`."""

    label: Label
    body: Block


@final
@node
class If(Statement):
    condition: Expression
    then: Block
    otherwise: Block


@final
@node
class Exit(Statement):
    """End the whole of ingress or egress."""


@final
@node
class ApplyTable(Statement):
    """Apply a table and go on. Not in actions."""

    table: Table


@final
@node
class ApplyHit(Statement):
    """Apply a table, then one of the two bodies."""

    table: Table
    hit: Block
    miss: Block


@final
@node
class ActionCase:
    """The actions that lead to a body."""

    actions: tuple[Action, ...]
    body: Block


@final
@node
class ApplySwitch(Statement):
    """Apply a table, then the body for the action that was run; `default` if no case names it."""

    table: Table
    cases: tuple[ActionCase, ...]
    default: Block


# -- externs of v1model


@final
@node
class ReadRegister(Statement):
    target: Target
    register: Register
    index: Expression


@final
@node
class WriteRegister(Statement):
    register: Register
    index: Expression
    value: Expression


@final
@node
class Count(Statement):
    counter: Counter
    index: Expression


@final
@node
class CountDirect(Statement):
    """A direct counter counts by itself; the call only says that the table has it."""

    counter: DirectCounter


@final
@node
class ExecuteMeter(Statement):
    meter: Meter
    index: Expression
    target: Target


@final
@node
class ReadDirectMeter(Statement):
    """The color of the table's direct meter comes to be in `target`."""

    meter: DirectMeter
    target: Target


class HashAlgorithm(Enum):
    """By the names that v1model has for them."""

    CRC32 = "crc32"
    CRC32_CUSTOM = "crc32_custom"
    CRC16 = "crc16"
    CRC16_CUSTOM = "crc16_custom"
    RANDOM = "random"
    IDENTITY = "identity"
    CSUM16 = "csum16"
    XOR16 = "xor16"


@final
@node
class Hash(Statement):
    """target = base + algorithm(inputs) mod maximum."""

    target: Target
    algorithm: HashAlgorithm
    base: Expression
    inputs: tuple[Expression, ...]
    maximum: Expression


@final
@node
class Random(Statement):
    """A number from `low` to `high`, both included."""

    target: Target
    low: Expression
    high: Expression


@final
@node
class Digest(Statement):
    """Send the inputs to the control plane; `name` is the digest's in P4Info."""

    name: str
    receiver: Expression
    inputs: tuple[Expression, ...]


class CloneKind(Enum):
    INGRESS_TO_EGRESS = "I2E"
    EGRESS_TO_EGRESS = "E2E"


@final
@node
class Clone(Statement):
    """`field_list` None: nothing is preserved."""

    kind: CloneKind
    session: Expression
    field_list: int | None


@final
@node
class Resubmit(Statement):
    field_list: int


@final
@node
class Recirculate(Statement):
    field_list: int


@final
@node
class Truncate(Statement):
    """`length` in bytes."""

    length: Expression


@final
@node
class MarkToDrop(Statement):
    pass


@final
@node
class LogMessage(Statement):
    format: str
    values: tuple[Expression, ...]


@final
@node
class Assert(Statement):
    """`assert`, or with `assumed` True `assume`."""

    condition: Expression
    assumed: bool


@final
@node
class CallExtern(Statement):
    """A function, or a method of an object, that v1model does not have: for a switch with a module of its own."""

    object: ExternObject | None
    name: str
    arguments: tuple[Expression | HeaderReference, ...]


# -- only in parsers


@final
@node
class Extract(Statement):
    """`varbit_width` is the second argument of `extract`, in bits."""

    header: HeaderReference
    varbit_width: Expression | None


@final
@node
class Advance(Statement):
    """`amount` in bits."""

    amount: Expression


@final
@node
class Verify(Statement):
    """Go to reject with `error` unless the condition holds."""

    condition: Expression
    error: Expression


# -- only in deparsers


@final
@node
class Emit(Statement):
    header: HeaderReference


# -- only in the checksum controls


@final
@node
class Checksum(Statement):
    """`verify_checksum` or `update_checksum`, `payload` for those `_with_payload`."""

    verify: bool
    condition: Expression
    inputs: tuple[Expression, ...]
    target: Target
    algorithm: HashAlgorithm
    payload: bool
