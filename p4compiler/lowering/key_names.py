"""The control plane's names of table keys, made from their expressions where there is no `@name`."""

from __future__ import annotations

from p4compiler.lowering.annotations import external_name
from p4compiler.lowering.types import TypeLowering
from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.checked import CheckedProgram


def key_name(expression: ast.Expression, checked: CheckedProgram, types: TypeLowering) -> str | None:
    """As p4c names keys: `hdr.ipv4.dst`, `hdr.ipv4.$valid$`, `x[7:0]`, `x & 15`; None for anything more complicated."""

    def name(part: ast.Expression) -> str | None:
        return key_name(part, checked, types)

    match expression:
        case ast.PathExpression(name=text):
            return text
        case ast.Member():
            return _member(expression, name(expression.base), checked, types)
        case ast.Index(base=base, index=index):
            left, right = name(base), name(index)
            return None if left is None or right is None else f"{left}[{right}]"
        case ast.IntegerLiteral():
            return _literal(expression)
        case ast.Slice(base=base, high=high, low=low):
            parts = name(base), name(high), name(low)
            return None if None in parts else f"{parts[0]}[{parts[1]}:{parts[2]}]"
        case ast.Binary(operator=ast.BinaryOperator.AND, left=a, right=b):
            left, right = name(a), name(b)
            return None if left is None or right is None else f"{left} & {right}"
        case ast.Call(callee=ast.Member(base=base, member=member), arguments=()) if member.text == "isValid":
            inner = name(base)
            return None if inner is None else f"{inner}.$valid$"
    return None


def _member(expression: ast.Member, base: str | None, checked: CheckedProgram, types: TypeLowering) -> str | None:
    text = expression.member.text
    type_ = checked.type_of.get(expression.base)
    if isinstance(type_, model.StructLikeType):
        for field in types.fields(type_):
            if field.name == text and field.declaration is not None:
                text = external_name(field.declaration)
    if text.startswith("."):
        return text[1:]
    return None if base is None else f"{base}.{text}"


def _literal(literal: ast.IntegerLiteral) -> str:
    match literal.base:
        case 16:
            return f"0x{literal.value:x}"
        case 8:
            return f"0o{literal.value:o}"
        case 2:
            return f"0b{literal.value:b}"
    return str(literal.value)
