"""Annotations: their values, the names they give, and their form for the control plane."""

from __future__ import annotations

from typing import Protocol

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
            (pair.name.text, value) for pair in annotation.pairs if (value := _literal(pair.value)) is not None
        )
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
        return [value for argument in annotation.arguments if (value := _literal(argument)) is not None]
    values: list[AnnotationValue] = []
    for token in annotation.tokens:
        if token.is_string:
            text = token.text
            quoted = len(text) >= 2 and text[0] == text[-1] == '"'
            values.append(_unescape(text[1:-1]) if quoted else text)
        elif token.text in ("true", "false"):
            values.append(token.text == "true")
        elif (number := _number(token.text)) is not None:
            values.append(number)
    return values


def _unescape(text: str) -> str:
    return text.replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\") if "\\" in text else text


def _number(text: str) -> int | None:
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


def _literal(expression: ast.Expression) -> AnnotationValue | None:
    match expression:
        case ast.IntegerLiteral(value=value):
            return value
        case ast.BoolLiteral(value=flag):
            return flag
        case ast.StringLiteral(value=text):
            return text
        case ast.Unary(operator=ast.UnaryOperator.NEGATE, operand=ast.IntegerLiteral(value=value)):
            return -value
    return None
