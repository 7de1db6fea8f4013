"""Where a packet's values live: variables, headers, header stacks and header unions.

Lowering takes structures apart, so that only scalars and headers remain. Every object here exists once in the program and
is compared by identity; its name is unique among its kind.
"""

from __future__ import annotations

from p4compiler.ir.types import Type, Varbit, width_of
from p4compiler.node import node
from p4compiler.source import Span


@node
class Variable:
    """A scalar that lives as long as the packet: a local variable or a field of the user metadata.

    `field_lists`: the numbers of its `@field_list` annotation, which clone, resubmit and recirculate refer to.
    """

    span: Span
    name: str
    type: Type
    field_lists: tuple[int, ...] = ()


@node
class HeaderField:
    """A field of a header. `alias`: the target's own name for it (`@alias`), in standard metadata."""

    name: str
    type: Type
    alias: str | None = None


@node
class HeaderLayout:
    """A header type (or the type of a metadata structure that the target knows as a whole)."""

    span: Span
    name: str
    fields: tuple[HeaderField, ...]

    @property
    def width(self) -> int:
        """Of all fields; a varbit counts with its maximum."""
        return sum(width_of(field.type) for field in self.fields)

    @property
    def has_varbit(self) -> bool:
        return any(isinstance(field.type, Varbit) for field in self.fields)


@node
class Header:
    """A header instance. `is_metadata`: a structure like `standard_metadata`, always valid and never on the wire."""

    span: Span
    name: str
    layout: HeaderLayout
    is_metadata: bool = False


@node
class UnionLayout:
    """A header union type: the name and layout of each member."""

    span: Span
    name: str
    members: tuple[tuple[str, HeaderLayout], ...]


@node
class HeaderUnion:
    """A header union instance; `members` stand in the order of the layout's."""

    span: Span
    name: str
    layout: UnionLayout
    members: tuple[Header, ...]


@node
class HeaderStack:
    """A stack of headers or of header unions."""

    span: Span
    name: str
    elements: tuple[Header, ...] | tuple[HeaderUnion, ...]

    @property
    def is_of_unions(self) -> bool:
        return bool(self.elements) and isinstance(self.elements[0], HeaderUnion)

    @property
    def layout(self) -> HeaderLayout | UnionLayout:
        return self.elements[0].layout
