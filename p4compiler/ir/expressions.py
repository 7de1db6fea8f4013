"""The expressions of the IR: side-effect free, typed, over scalars.

Calls are gone (lowering makes statements of them), and so are structures; a whole header appears only as a `HeaderReference`.
"""

from __future__ import annotations

from enum import Enum
from typing import final

from p4compiler.ir.storage import Header, HeaderField, HeaderLayout, HeaderStack, HeaderUnion, Variable
from p4compiler.ir.types import BOOLEAN, TEXT, Bits, Type
from p4compiler.node import node
from p4compiler.source import Span

# -- headers, named or found at run time


@node
class HeaderReference:
    """A header to act upon. `layout` is known even where the instance is not."""

    span: Span

    @property
    def layout(self) -> HeaderLayout:
        raise NotImplementedError


@final
@node
class OneHeader(HeaderReference):
    """A header known at compile time."""

    header: Header

    @property
    def layout(self) -> HeaderLayout:
        return self.header.layout


@final
@node
class StackElement(HeaderReference):
    """`stack[index]` with an index that is computed at run time and always lies inside of the stack.

    `guard`: whether the index that the program meant does too; nothing may be written to the element unless it holds. None
    if it always does.
    """

    stack: HeaderStack
    index: Expression
    guard: Expression | None = None

    @property
    def layout(self) -> HeaderLayout:
        layout = self.stack.layout
        assert isinstance(layout, HeaderLayout)
        return layout


@final
@node
class NextElement(HeaderReference):
    """`stack.next`, in a parser; of a stack of unions, the member of that number in the next union."""

    stack: HeaderStack
    member: int = 0

    @property
    def layout(self) -> HeaderLayout:
        return _element_layout(self.stack, self.member)


@final
@node
class LastElement(HeaderReference):
    """`stack.last`, in a parser; of a stack of unions, the member of that number in the last union."""

    stack: HeaderStack
    member: int = 0

    @property
    def layout(self) -> HeaderLayout:
        return _element_layout(self.stack, self.member)


def _element_layout(stack: HeaderStack, member: int) -> HeaderLayout:
    layout = stack.layout
    return layout if isinstance(layout, HeaderLayout) else layout.members[member][1]


# -- values


@node
class Expression:
    span: Span

    @property
    def type(self) -> Type:
        raise NotImplementedError


@final
@node
class Constant(Expression):
    """A number; in the range of its type."""

    value: int
    bits: Bits

    @property
    def type(self) -> Type:
        return self.bits


@final
@node
class BooleanConstant(Expression):
    value: bool

    @property
    def type(self) -> Type:
        return BOOLEAN


@final
@node
class TextConstant(Expression):
    value: str

    @property
    def type(self) -> Type:
        return TEXT


@final
@node
class VariableValue(Expression):
    variable: Variable

    @property
    def type(self) -> Type:
        return self.variable.type


@final
@node
class FieldValue(Expression):
    """A field of a header; `index` counts the layout's fields."""

    header: HeaderReference
    index: int

    @property
    def field(self) -> HeaderField:
        return self.header.layout.fields[self.index]

    @property
    def type(self) -> Type:
        return self.field.type


@final
@node
class Parameter:
    """A parameter of an action, whose value comes with the table entry. Not an expression: `ParameterValue` is."""

    span: Span
    name: str
    type: Type


@final
@node
class ParameterValue(Expression):
    parameter: Parameter

    @property
    def type(self) -> Type:
        return self.parameter.type


@final
@node
class Valid(Expression):
    """Is the header valid?"""

    header: HeaderReference

    @property
    def type(self) -> Type:
        return BOOLEAN


@final
@node
class UnionValid(Expression):
    """Is any member of the union valid?"""

    union: HeaderUnion

    @property
    def type(self) -> Type:
        return BOOLEAN


@final
@node
class LastIndex(Expression):
    """`stack.lastIndex`: of the last element extracted; bit<32>."""

    stack: HeaderStack

    @property
    def type(self) -> Type:
        return Bits(32)


class UnaryOperator(Enum):
    NOT = "!"
    COMPLEMENT = "~"
    NEGATE = "-"


@final
@node
class Unary(Expression):
    """The operand has the same type."""

    operator: UnaryOperator
    operand: Expression

    @property
    def type(self) -> Type:
        return self.operand.type


class BinaryOperator(Enum):
    MUL = "*"
    DIV = "/"
    MOD = "%"
    ADD = "+"
    SUB = "-"
    ADD_SAT = "|+|"
    SUB_SAT = "|-|"
    SHL = "<<"
    SHR = ">>"
    AND = "&"
    XOR = "^"
    OR = "|"
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    EQ = "=="
    NE = "!="
    LOGICAL_AND = "&&"
    LOGICAL_OR = "||"

    # Looked up at every step of every walk; Enum's own hash is a function in Python.
    __hash__ = object.__hash__


COMPARISONS = frozenset(
    {
        BinaryOperator.LT,
        BinaryOperator.LE,
        BinaryOperator.GT,
        BinaryOperator.GE,
        BinaryOperator.EQ,
        BinaryOperator.NE,
    }
)
LOGICAL = frozenset({BinaryOperator.LOGICAL_AND, BinaryOperator.LOGICAL_OR})


@final
@node
class Binary(Expression):
    """Operands of one type (but for shifts); the result has it too, or is a boolean for comparisons."""

    operator: BinaryOperator
    left: Expression
    right: Expression

    @property
    def type(self) -> Type:
        # A loop, for a long chain of operands would be as many calls.
        node: Expression = self
        while isinstance(node, Binary):
            if node.operator in COMPARISONS:
                return BOOLEAN
            node = node.left
        return node.type


@final
@node
class Conditional(Expression):
    """`condition ? then : otherwise`"""

    condition: Expression
    then: Expression
    otherwise: Expression

    @property
    def type(self) -> Type:
        return self.then.type


@final
@node
class Slice(Expression):
    """`operand[high:low]`, unsigned."""

    operand: Expression
    high: int
    low: int

    @property
    def type(self) -> Type:
        return Bits(self.high - self.low + 1)


@final
@node
class Concat(Expression):
    """`left ++ right`; signed as the left one is."""

    left: Expression
    right: Expression

    @property
    def type(self) -> Type:
        left, right = self.left.type, self.right.type
        assert isinstance(left, Bits) and isinstance(right, Bits)
        return Bits(left.width + right.width, left.signed)


@final
@node
class Cast(Expression):
    """Between bits of any width and sign, and between bit<1> and bool."""

    target: Type
    operand: Expression

    @property
    def type(self) -> Type:
        return self.target


@final
@node
class Lookahead(Expression):
    """`width` bits of the packet from `offset` bits after the cursor on, in a parser."""

    offset: int
    target: Type

    @property
    def type(self) -> Type:
        return self.target
