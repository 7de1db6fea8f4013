"""Walking over the IR: all statements, all expressions, what a statement reads."""

from __future__ import annotations

from collections.abc import Iterator

from p4compiler.ir import expressions as ex
from p4compiler.ir import statements as st


def blocks_of(statement: st.Statement) -> tuple[st.Block, ...]:
    """The blocks directly inside a statement."""
    match statement:
        case st.If(then=then, otherwise=otherwise):
            return (then, otherwise)
        case st.Region(body=body) | st.Loop(body=body):
            return (body,)
        case st.ApplyHit(hit=hit, miss=miss):
            return (hit, miss)
        case st.ApplySwitch(cases=cases, default=default):
            return (*(case.body for case in cases), default)
    return ()


def statements_of(block: st.Block) -> Iterator[st.Statement]:
    """All statements of the block, those in nested blocks too, in the order of the text."""
    for statement in block:
        yield statement
        for inner in blocks_of(statement):
            yield from statements_of(inner)


def operands_of(expression: ex.Expression) -> tuple[ex.Expression, ...]:
    """The expressions directly inside an expression."""
    match expression:
        case ex.Unary(operand=operand) | ex.Slice(operand=operand) | ex.Cast(operand=operand):
            return (operand,)
        case ex.Binary(left=left, right=right) | ex.Concat(left=left, right=right):
            return (left, right)
        case ex.Conditional(condition=condition, then=then, otherwise=otherwise):
            return (condition, then, otherwise)
        case ex.FieldValue(header=header) | ex.Valid(header=header):
            return header_operands(header)
    return ()


def header_operands(header: ex.HeaderReference) -> tuple[ex.Expression, ...]:
    """The index of a stack element."""
    if not isinstance(header, ex.StackElement):
        return ()
    return (header.index,) if header.guard is None else (header.index, header.guard)


def subexpressions_of(expression: ex.Expression) -> Iterator[ex.Expression]:
    """The expression and all in it."""
    yield expression
    for operand in operands_of(expression):
        yield from subexpressions_of(operand)


def expressions_of(statement: st.Statement) -> tuple[ex.Expression, ...]:
    """The expressions directly in a statement, targets too; not those in nested blocks."""
    match statement:
        case st.Assign(target=target, value=value):
            return (target, value)
        case st.CopyHeader(target=to_header, source=from_header):
            return (*header_operands(to_header), *header_operands(from_header))
        case st.SetValid(header=header) | st.Emit(header=header):
            return header_operands(header)
        case st.Extract(header=header, varbit_width=width):
            return header_operands(header) if width is None else (*header_operands(header), width)
        case st.If(condition=condition) | st.Assert(condition=condition):
            return (condition,)
        case st.ReadRegister(target=target, index=index) | st.ExecuteMeter(target=target, index=index):
            return (target, index)
        case st.WriteRegister(index=index, value=value):
            return (index, value)
        case st.Count(index=index):
            return (index,)
        case st.ReadDirectMeter(target=target):
            return (target,)
        case st.Hash(target=target, base=base, inputs=inputs, maximum=maximum):
            return (target, base, *inputs, maximum)
        case st.Random(target=target, low=low, high=high):
            return (target, low, high)
        case st.Digest(receiver=receiver, inputs=inputs):
            return (receiver, *inputs)
        case st.Clone(session=session):
            return (session,)
        case st.Truncate(length=length):
            return (length,)
        case st.LogMessage(values=values):
            return values
        case st.CallExtern(arguments=arguments):
            return tuple(a for a in arguments if isinstance(a, ex.Expression))
        case st.Advance(amount=amount):
            return (amount,)
        case st.Verify(condition=condition, error=error):
            return (condition, error)
        case st.Checksum(condition=condition, inputs=inputs, target=target):
            return (condition, *inputs, target)
    return ()
