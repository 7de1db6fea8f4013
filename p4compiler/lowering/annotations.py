"""Annotations: their values, the names they give, and their form for the control plane."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from p4compiler.ir.annotations import Annotation, AnnotationValue
from p4compiler.syntax import ast


class _Annotated(Protocol):
    @property
    def annotations(self) -> tuple[ast.Annotation, ...]: ...


class _Named(_Annotated, Protocol):
    @property
    def name(self) -> ast.Name: ...


def get_annotation(node: _Annotated, name: str) -> ast.Annotation | None:
    for annotation in node.annotations:
        if annotation.name == name:
            return annotation
    return None


def has_annotation(node: _Annotated, name: str) -> bool:
    return get_annotation(node, name) is not None


def string_argument(annotation: ast.Annotation) -> str | None:
    """The first string in the body."""
    for value in _values(annotation):
        if isinstance(value, str):
            return value
    return None


def name_annotation(node: _Annotated) -> str | None:
    """What `@name` says, if it is there."""
    annotation = get_annotation(node, "name")
    return string_argument(annotation) if annotation is not None else None


def external_name(node: _Named) -> str:
    """The `@name`, which starts with a dot where it is absolute, or else the declared name."""
    return name_annotation(node) or node.name.text


def integer_arguments(annotation: ast.Annotation) -> tuple[int, ...]:
    return tuple(value for value in _values(annotation) if isinstance(value, int) and not isinstance(value, bool))


def lower_annotations(annotations: tuple[ast.Annotation, ...]) -> tuple[Annotation, ...]:
    """All of them, in order."""
    return tuple(_lower(annotation) for annotation in annotations)


def _lower(annotation: ast.Annotation) -> Annotation:
    pairs: tuple[tuple[str, AnnotationValue], ...] = ()
    if annotation.pairs:
        pairs = tuple(
            (pair.name.text, value) for pair in annotation.pairs if (value := _constant(pair.value)) is not None
        )
    elif annotation.name in _PAIRS and annotation.tokens:
        pairs = tuple(_token_pairs(annotation.tokens))
    return Annotation(
        annotation.span,
        annotation.name,
        f"@{annotation.name}{_body_text(annotation)}",
        tuple(_values(annotation)),
        annotation.structured,
        pairs,
    )


# The bodies of these are expressions to p4c, which prints a comma without a space before it.
_EXPRESSION_BODIES = frozenset({"name", "deprecated", "noWarn", "length", "synchronous", "field_list", "match"})

# The bodies of these are read as P4Runtime defines them and printed in P4's form.
_LISTS = frozenset({"controller_header", "p4runtime_translation"})


# The bodies of these are pairs of key and value, though they are written in parentheses.
_PAIRS = frozenset({"pkginfo", "platform_property"})


def _body_text(annotation: ast.Annotation) -> str:
    if not annotation.tokens:
        return ""
    separator = "" if annotation.name in _EXPRESSION_BODIES | _LISTS else " "
    return "(" + separator.join(_token_text(token) for token in annotation.tokens) + ")"


def _token_text(token: ast.AnnotationToken) -> str:
    if not token.is_string:
        return token.text
    return token.text if token.text.startswith('"') else f'"{token.text}"'


def _values(annotation: ast.Annotation) -> list[AnnotationValue]:
    """The literals of the body."""
    if annotation.tokens is None:
        return [value for argument in annotation.arguments if (value := _constant(argument)) is not None]
    values: list[AnnotationValue] = []
    for token in annotation.tokens:
        value = _token_value(token)
        if value is not None:
            values.append(value)
    return values


def _token_value(token: ast.AnnotationToken) -> AnnotationValue | None:
    if token.is_string:
        text = token.text
        quoted = len(text) >= 2 and text[0] == text[-1] == '"'
        return _unescape(text[1:-1]) if quoted else text
    if token.text in ("true", "false"):
        return token.text == "true"
    return number_of(token.text)


def _unescape(text: str) -> str:
    return text.replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\") if "\\" in text else text


def number_of(text: str) -> int | None:
    """A P4 integer literal, its width left out."""
    if not text[:1].isdigit():
        return None
    digits = text.replace("_", "")
    lowered = digits.lower()
    if not lowered.startswith("0x"):
        for mark in ("w", "s"):
            head, found, tail = digits.partition(mark)
            if found and head.isdigit():
                digits = tail
                break
    digits = digits.lower()
    if digits.startswith("0d"):
        digits = digits[2:]
    try:
        return int(digits, 0) if digits[:2] in ("0x", "0b", "0o") else int(digits)
    except ValueError:
        return None


def _token_pairs(tokens: tuple[ast.AnnotationToken, ...]) -> Iterator[tuple[str, AnnotationValue]]:
    """`key = value, …` in a body that is not structured."""
    for index, token in enumerate(tokens[:-1]):
        if token.text == "=" and index > 0:
            value = _token_value(tokens[index + 1])
            if value is not None:
                yield tokens[index - 1].text, value


_OPERATIONS: dict[ast.BinaryOperator, Callable[[Any, Any], AnnotationValue]] = {
    ast.BinaryOperator.ADD: operator.add,
    ast.BinaryOperator.SUB: operator.sub,
    ast.BinaryOperator.MUL: operator.mul,
    ast.BinaryOperator.SHL: operator.lshift,
    ast.BinaryOperator.SHR: operator.rshift,
    ast.BinaryOperator.AND: operator.and_,
    ast.BinaryOperator.OR: operator.or_,
    ast.BinaryOperator.XOR: operator.xor,
    ast.BinaryOperator.EQ: operator.eq,
    ast.BinaryOperator.NE: operator.ne,
    ast.BinaryOperator.LT: operator.lt,
    ast.BinaryOperator.LE: operator.le,
    ast.BinaryOperator.GT: operator.gt,
    ast.BinaryOperator.GE: operator.ge,
    ast.BinaryOperator.CONCAT: operator.add,
}


def _constant(expression: ast.Expression) -> AnnotationValue | None:
    """The value of an expression in a structured annotation; None if it is not known."""
    match expression:
        case ast.IntegerLiteral(value=value):
            return value
        case ast.BoolLiteral(value=flag):
            return flag
        case ast.StringLiteral(value=text):
            return text
        case ast.Unary(operator=unary, operand=operand):
            inner = _constant(operand)
            if unary is ast.UnaryOperator.NOT:
                return None if inner is None else not inner
            if isinstance(inner, int):
                return (
                    -inner
                    if unary is ast.UnaryOperator.NEGATE
                    else ~inner
                    if unary is ast.UnaryOperator.COMPLEMENT
                    else inner
                )
        case ast.Binary(operator=binary, left=left, right=right):
            a, b = _constant(left), _constant(right)
            operation = _OPERATIONS.get(binary)
            if a is not None and b is not None and operation is not None and type(a) is type(b):
                return operation(a, b)
    return None
