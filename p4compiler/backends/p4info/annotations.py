"""Annotations and documentation in P4Info."""

from __future__ import annotations

from collections.abc import Collection

from p4compiler.backends.p4info import messages as m
from p4compiler.ir.annotations import Annotation, AnnotationValue

_REPRESENTED = frozenset({"name", "id", "brief", "description"})
"""What these say has fields of its own."""


def unstructured_and_structured(
    annotations: tuple[Annotation, ...], without: Collection[str] = ()
) -> tuple[list[str], list[m.StructuredAnnotation]]:
    """Both kinds of annotations, as the messages hold them; `without`: names of unstructured ones to leave out."""
    plain: list[str] = []
    structured: list[m.StructuredAnnotation] = []
    for annotation in annotations:
        if annotation.structured:
            structured.append(_structured(annotation))
        elif annotation.name not in _REPRESENTED and annotation.name not in without:
            plain.append(annotation.text)
    return plain, structured


def _structured(annotation: Annotation) -> m.StructuredAnnotation:
    if annotation.pairs:
        pairs = [m.KeyValuePair(key, _literal(value)) for key, value in annotation.pairs]
        return m.StructuredAnnotation(annotation.name, kv_pair_list=m.KeyValuePairList(pairs))
    if annotation.arguments:
        values = [_literal(value) for value in annotation.arguments]
        return m.StructuredAnnotation(annotation.name, expression_list=m.ExpressionList(values))
    return m.StructuredAnnotation(annotation.name)


def _literal(value: AnnotationValue) -> m.Literal:
    if isinstance(value, bool):
        return m.Literal(bool_value=m.Explicit(value))
    if isinstance(value, int):
        return m.Literal(int64_value=m.Explicit(value))
    return m.Literal(string_value=m.Explicit(value))


def documentation(annotations: tuple[Annotation, ...]) -> m.Documentation | None:
    """From `@brief` and `@description`."""
    result = None
    for annotation in annotations:
        if annotation.name in ("brief", "description") and annotation.arguments:
            result = result or m.Documentation()
            setattr(result, annotation.name, str(annotation.arguments[0]))
    return result
