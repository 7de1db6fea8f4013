"""Statements and expressions in as few characters as a drawing has room for."""

from __future__ import annotations

from p4compiler.ir import expressions as ex
from p4compiler.ir import statements as st
from p4compiler.ir.expressions import BinaryOperator as Op
from p4compiler.ir.printer import print_expression, print_header, print_statement
from p4compiler.ir.walk import statements_of

MAX_LINE = 56
MAX_LINES = 8
HEX_FROM = 10_000
"""Larger numbers are addresses, masks or types: hexadecimal reads better."""

_ARITHMETIC = frozenset({Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.MOD, Op.AND, Op.OR, Op.XOR, Op.SHL, Op.SHR})
_ASSOCIATIVE = frozenset({Op.ADD, Op.MUL, Op.AND, Op.OR, Op.XOR, Op.LOGICAL_AND, Op.LOGICAL_OR})


def number(value: int) -> str:
    return hex(value) if value >= HEX_FROM else str(value)


def expression(value: ex.Expression) -> str:
    """Without widths, and with parentheses only where they help."""
    match value:
        case ex.Constant(value=constant):
            return number(constant)
        case ex.Unary(operator=ex.UnaryOperator.NOT, operand=ex.Binary(operator=Op.EQ, left=left, right=right)):
            return f"{_operand(left, Op.NE)} != {_operand(right, Op.NE)}"
        case ex.Unary(operator=operator, operand=operand):
            return f"{operator.value}{_operand(operand)}"
        case ex.Binary(operator=binary, left=left, right=right):
            return f"{_operand(left, binary)} {binary.value} {_operand(right, binary, right=True)}"
        case ex.Conditional(condition=condition, then=then, otherwise=otherwise):
            return f"{_operand(condition)} ? {_operand(then)} : {_operand(otherwise)}"
        case ex.Slice(operand=operand, high=high, low=low):
            return f"{_operand(operand)}[{high}:{low}]"
        case ex.Concat(left=left, right=right):
            return f"{_operand(left)} ++ {_operand(right)}"
        case ex.Cast(target=target, operand=operand):
            return f"({target}){_operand(operand)}"
        case ex.FieldValue(header=ex.StackElement(stack=stack, index=index)):
            return f"{stack.name}[{expression(index)}].{value.field.name}"
    return print_expression(value)


def _operand(value: ex.Expression, parent: Op | None = None, *, right: bool = False) -> str:
    text = expression(value)
    child: Op | None = None
    match value:
        case ex.Binary(operator=operator):
            child = operator
        case ex.Unary(operand=ex.Binary(operator=Op.EQ)):
            child = Op.NE
        case ex.Conditional() | ex.Concat():
            return f"({text})"
    if child is None or (parent in ex.LOGICAL and child in ex.COMPARISONS):
        return text
    if parent in ex.COMPARISONS and child in _ARITHMETIC:
        return text
    if parent is child and child in _ASSOCIATIVE and not right:
        return text
    return f"({text})"


def statement(value: st.Statement, errors: tuple[str, ...] = ()) -> str:
    """A statement without inner blocks, in one line. `errors`: the names of the program's errors by number."""
    match value:
        case st.Assign(target=target, value=assigned):
            return f"{expression(target)} = {expression(assigned)}"
        case st.Verify(condition=condition, error=ex.Constant(value=error)) if error < len(errors):
            return f"verify({expression(condition)}, {errors[error]})"
        case st.Extract(header=header, varbit_width=width) if width is not None:
            return f"extract({print_header(header)}, {expression(width)})"
        case st.Advance(amount=amount):
            return f"advance({expression(amount)})"
        case st.Count(counter=counter, index=index):
            return f"{counter.name}.count({expression(index)})"
        case st.ReadRegister(target=target, register=register, index=index):
            return f"{expression(target)} = {register.name}.read({expression(index)})"
        case st.WriteRegister(register=register, index=index, value=written):
            return f"{register.name}.write({expression(index)}, {expression(written)})"
        case st.Hash(target=target, algorithm=algorithm, inputs=inputs):
            return f"{expression(target)} = hash {algorithm.value}({', '.join(map(expression, inputs))})"
        case st.Clone(kind=kind, session=session):
            return f"clone {kind.value}({expression(session)})"
        case st.Truncate(length=length):
            return f"truncate({expression(length)})"
        case st.Checksum(verify=verify, condition=condition, inputs=inputs, target=target):
            verb = "verify" if verify else "update"
            when = (
                "" if isinstance(condition, ex.BooleanConstant) and condition.value else f" if {expression(condition)}"
            )
            return f"{verb} {expression(target)} over {len(inputs)} values{when}"
    return print_statement(value).removesuffix(";")


PLAIN = (st.Assign, st.CopyHeader, st.CopyStack, st.SetValid, st.ShiftStack)
"""Statements that only move values; everything else that is not control flow is a call of an extern."""


def summary(block: tuple[st.Statement, ...], errors: tuple[str, ...] = ()) -> list[str]:
    """One line a statement; if there are too many, only so many plain assignments as there is room for beside the others."""
    special = sum(not isinstance(each, PLAIN) for each in block)
    room = len(block) if len(block) <= MAX_LINES else max(2, MAX_LINES - 1 - special)
    lines: list[str] = []
    left_out = 0
    for each in block:
        if isinstance(each, PLAIN):
            if room <= 0:
                left_out += 1
                continue
            room -= 1
        lines.append(shorten(statement(each, errors)))
    if left_out:
        lines.append(f"… {left_out} more")
    return lines


def shorten(text: str, limit: int = MAX_LINE) -> str:
    """One line of at most `limit` characters."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def wrap(text: str, limit: int = 44) -> list[str]:
    """A condition in lines, broken before `&&` and `||`."""
    lines = [""]
    for part in text.replace(" && ", "\n&& ").replace(" || ", "\n|| ").split("\n"):
        if lines[-1] and len(lines[-1]) + len(part) >= limit:
            lines.append(part)
        else:
            lines[-1] += f" {part}" if lines[-1] else part
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], "…"]
    return [shorten(line, 2 * limit) for line in lines]


def externs_of(block: st.Block) -> list[str]:
    """What an action's body calls, each once: `counter.count`, `hash`."""
    names: dict[str, None] = {}
    for each in statements_of(block):
        name = _extern(each)
        if name is not None:
            names[name] = None
    return list(names)


def _extern(value: st.Statement) -> str | None:
    match value:
        case st.ReadRegister(register=register):
            return f"{_last(register.name)}.read"
        case st.WriteRegister(register=register):
            return f"{_last(register.name)}.write"
        case st.Count(counter=counter):
            return f"{_last(counter.name)}.count"
        case st.ExecuteMeter(meter=meter):
            return f"{_last(meter.name)}.execute_meter"
        case st.CallExtern(object=None, name=name):
            return name
        case st.CallExtern(object=made, name=name) if made is not None:
            return f"{_last(made.name)}.{name}"
    return _FUNCTIONS.get(type(value))


def _last(name: str) -> str:
    return name.rpartition(".")[2]


_FUNCTIONS: dict[type[st.Statement], str] = {
    st.Hash: "hash",
    st.Random: "random",
    st.Digest: "digest",
    st.Clone: "clone",
    st.Resubmit: "resubmit",
    st.Recirculate: "recirculate",
    st.Truncate: "truncate",
    st.MarkToDrop: "mark_to_drop",
    st.LogMessage: "log_msg",
    st.Assert: "assert",
}
