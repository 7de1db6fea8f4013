"""Which expressions call something that may change the packet's state."""

from __future__ import annotations

from collections.abc import Iterator

from p4compiler.syntax import ast
from p4compiler.types.checked import CallKind, CheckedProgram

_PURE = frozenset({CallKind.BUILTIN_METHOD, CallKind.CONSTRUCTOR})
_PURE_METHODS = frozenset({"lookahead", "length"})


def has_effects(expression: ast.Expression, checked: CheckedProgram, known: dict[ast.Expression, bool]) -> bool:
    """Does evaluating it run anything that writes? Answers are kept in `known`."""
    found = known.get(expression)
    if found is None:
        found = _is_effect(expression, checked) or any(
            has_effects(operand, checked, known) for operand in operands(expression)
        )
        known[expression] = found
    return found


def _is_effect(expression: ast.Expression, checked: CheckedProgram) -> bool:
    if not isinstance(expression, ast.Call) or expression in checked.constant_of:
        return False
    call = checked.call_of[expression]
    return call.kind not in _PURE and not (call.kind is CallKind.EXTERN_METHOD and call.method in _PURE_METHODS)


def operands(expression: ast.Expression) -> Iterator[ast.Expression]:
    """The expressions directly inside an expression."""
    match expression:
        case ast.Member(base=base):
            yield base
        case ast.Index(base=base, index=index):
            yield base
            yield index
        case ast.Slice(base=base, high=high, low=low):
            yield base
            yield high
            yield low
        case ast.Unary(operand=operand) | ast.Cast(operand=operand):
            yield operand
        case ast.Binary(left=left, right=right):
            yield left
            yield right
        case ast.Conditional(condition=condition, then=then, otherwise=otherwise):
            yield condition
            yield then
            yield otherwise
        case ast.ListExpression(elements=elements) | ast.TupleSet(elements=elements):
            yield from elements
        case ast.StructExpression(fields=fields):
            for field in fields:
                yield field.value
        case ast.Call(callee=callee, arguments=arguments):
            yield callee
            for argument in arguments:
                yield argument.value
