"""Annotations as the control plane gets to see them."""

from __future__ import annotations

from typing import final

from p4compiler.node import node
from p4compiler.source import Span

AnnotationValue = int | bool | str


@final
@node
class Annotation:
    """`text`: the whole annotation as P4 writes it, `@name(body)`.

    A structured one has `expressions` or `pairs`. An unstructured one has in `arguments` the literal values of its body,
    as far as they are literals (`@id(7)` → 7).
    """

    span: Span
    name: str
    text: str
    arguments: tuple[AnnotationValue, ...]
    structured: bool
    pairs: tuple[tuple[str, AnnotationValue], ...] = ()


def find_annotation(annotations: tuple[Annotation, ...], name: str) -> Annotation | None:
    """The first annotation with that name."""
    for annotation in annotations:
        if annotation.name == name:
            return annotation
    return None
