"""Arguments of one call that name the same storage (specification, section 6.8): in which order they are written matters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from p4compiler.syntax import ast
from p4compiler.types.checked import CheckedProgram, ResolvedCall

OUTPUTS = (ast.Direction.OUT, ast.Direction.INOUT)


def clashing_argument(checked: CheckedProgram, call: ResolvedCall) -> tuple[ast.Expression, ast.Expression] | None:
    """An argument that the call writes to and another one, of it or of a call in its arguments, that shares storage with it."""
    outputs = [
        argument
        for parameter, argument in zip(call.parameters, call.arguments, strict=True)
        if argument is not None and parameter.direction in OUTPUTS
    ]
    if not outputs:
        return None
    written = list(outputs)
    for argument in call.arguments:
        if argument is not None and not isinstance(argument, ast.PathExpression):
            written.extend(_written_inside(checked, argument))
    if len(written) < 2:
        return None
    for output in outputs:
        for other in written:
            if other is not output and _overlap(checked, output, other):
                return output, other
    return None


def _written_inside(checked: CheckedProgram, expression: ast.Expression) -> Iterator[ast.Expression]:
    """What calls inside of the expression write to."""
    waiting: list[ast.Expression] = [expression]
    while waiting:
        item = waiting.pop()
        match item:
            case ast.Call():
                call = checked.call_of.get(item)
                if call is None:
                    continue
                for parameter, argument in zip(call.parameters, call.arguments, strict=False):
                    if argument is not None:
                        waiting.append(argument)
                        if parameter.direction in OUTPUTS:
                            yield argument
            case ast.Binary(left=left, right=right):
                waiting += (left, right)
            case ast.Unary(operand=operand) | ast.Cast(operand=operand):
                waiting.append(operand)
            case ast.Conditional(condition=condition, then=then, otherwise=otherwise):
                waiting += (condition, then, otherwise)
            case ast.Member(base=base) | ast.Slice(base=base):
                waiting.append(base)
            case ast.Index(base=base, index=index):
                waiting += (base, index)


def _overlap(checked: CheckedProgram, one: ast.Expression, other: ast.Expression) -> bool:
    """A part of the one may be a part of the other, or the place of the one depends on the other."""
    path, indices = _path(checked, one)
    other_path, other_indices = _path(checked, other)
    if not path or not other_path:
        return False
    same = path[0] == other_path[0] and all(
        left == right or left is None or right is None for left, right in zip(path, other_path, strict=False)
    )
    return same or other_path[0] in indices or path[0] in other_indices


def _path(checked: CheckedProgram, expression: ast.Expression) -> tuple[list[object], set[object]]:
    """The variable and the fields or elements that lead to the storage (None: an element that is not known), and the
    variables that indices are taken from."""
    steps: list[object] = []
    indices: set[object] = set()
    constants: Mapping[ast.Expression, object] = checked.constant_of
    while True:
        match expression:
            case ast.PathExpression():
                steps.append(checked.declaration_of.get(expression))
                return steps[::-1], indices
            case ast.Member(base=base, member=member):
                steps.append(member.text)
                expression = base
            case ast.Index(base=base, index=index):
                steps.append(constants.get(index))
                if isinstance(index, ast.PathExpression) and index not in constants:
                    indices.add(checked.declaration_of.get(index))
                expression = base
            case ast.Slice(base=base):
                expression = base
            case _:
                return [], indices
